//! Virtual machines: composed by virtme-ng, run by us.
