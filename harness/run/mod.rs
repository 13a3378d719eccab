//! Runs a plan: boots kernels, loads objects, sends events.
