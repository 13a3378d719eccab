//! Reads the lines that libbpf logs.
