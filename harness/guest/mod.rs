//! The guest side: PID 1 of the small guest, and the loader in it.
