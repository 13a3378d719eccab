//! [`KernelRelease`]: a kernel release as `uname -r` prints it, compared by version.
