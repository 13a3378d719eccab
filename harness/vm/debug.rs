//! [`DebugOptions`]: what helps to look into a guest from outside.

use std::path::Path;

use super::compose::{DATA_SOCKET, SERIAL_SOCKET, Words};

/// The socket of QEMU's gdb server, in the scratch directory.
const GDB_SOCKET: &str = "gdb.sock";

/// What helps to look into guests. None of it changes what a guest does, but for the fixed addresses that gdb needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DebugOptions {
    /// Let gdb look into the kernel, and say how. Only for guests that are booted.
    pub gdb: bool,
    /// Show the console on standard error.
    pub console: bool,
    /// Keep the scratch directory, and say where it is.
    pub keep: bool,
    /// Show QEMU's command. Only for guests that are booted.
    pub command: bool,
}

impl DebugOptions {
    /// Whether guests have to be booted for that.
    pub fn need_boot(self) -> bool {
        self.gdb || self.command
    }

    /// Words for the kernel's command line.
    pub(super) fn append(self) -> Option<String> {
        // Symbols fit only where they were linked to.
        self.gdb.then(|| "nokaslr".to_owned())
    }

    /// Adds what QEMU needs, and prints what the user requested.
    pub(super) fn apply(self, kernel: &str, image: &Path, scratch: &Path, words: Words) -> Words {
        let mut words = words;
        if self.gdb {
            let socket = scratch.join(GDB_SOCKET);
            words = words.with(["-gdb".to_owned(), format!("unix:{},server=on,wait=off", socket.display())]);
            let image = shell_words::quote(&image.to_string_lossy()).into_owned();
            eprintln!("[{kernel}] gdb {image} -ex 'target remote {}'", socket.display());
        }
        if self.command {
            eprintln!("[{kernel}] {}", pasteable(&words, scratch));
        }
        words
    }
}

/// The command as it can be given to a shell: no one listens at the sockets then.
fn pasteable(words: &Words, scratch: &Path) -> String {
    let mut line = words.shell_line();
    for socket in [DATA_SOCKET, SERIAL_SOCKET] {
        let id = if socket == DATA_SOCKET { "corematrix-data" } else { "corematrix-serial" };
        let connected = format!("socket,id={id},path={}", scratch.join(socket).display());
        line = line.replace(&connected, &format!("null,id={id}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_command_needs_nobody_at_the_sockets() {
        let words = Words::from_iter([
            "/usr/bin/qemu",
            "-append",
            "a b",
            "-chardev",
            "socket,id=corematrix-data,path=/s/data.sock",
        ]);
        let line = pasteable(&words, Path::new("/s"));
        assert_eq!(line, "/usr/bin/qemu -append 'a b' -chardev 'null,id=corematrix-data'");
    }

    #[test]
    fn gdb_gets_a_socket_and_fixed_addresses() {
        let debug = DebugOptions { gdb: true, ..DebugOptions::default() };
        let words = debug.apply("6.12", Path::new("/k/vmlinux"), Path::new("/s"), Words::from_iter(["qemu"]));
        assert_eq!(words.shell_line(), "qemu -gdb 'unix:/s/gdb.sock,server=on,wait=off'");
        assert_eq!((debug.append().as_deref(), debug.need_boot()), (Some("nokaslr"), true));
        assert_eq!(
            (DebugOptions::default().append(), DebugOptions { console: true, ..DebugOptions::default() }.need_boot()),
            (None, false)
        );
    }
}
