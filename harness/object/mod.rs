//! BPF objects: finding them in files and listing what is in them.
