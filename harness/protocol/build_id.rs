//! [`BUILD_ID`]: by which host and guest know that they were built from the same messages.

/// The version, and a checksum of the sources of all messages.
pub const BUILD_ID: &str = env!("COREMATRIX_PROTOCOL_BUILD");
