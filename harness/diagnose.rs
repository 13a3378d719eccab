//! Turns what the guest observed into a verdict and a reason.
