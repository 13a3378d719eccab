//! [`prepare`]: makes a guest ready to be snapshotted: does now what every object needs, and leaves little behind that is of no use.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use libbpf_sys as sys;

use super::feature_probe::{EXIT, RETURN_ZERO};
use super::fork;
use super::kernel_btf;

/// Free memory that no one used since the boot is zero; this much more than the fragments is taken to reach what was freed in large
/// blocks, such as the initramfs.
const MARGIN: usize = 128 << 20;
/// Blocks of this order are whole stretches of memory; the fragments below are what was in use and given back.
const LARGE_ORDER: usize = 9;
const PAGE: usize = 4096;
/// Which clock the kernel counts time by.
const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// The clock of a kernel that still measures the rate of its TSC.
const EARLY: &str = "tsc-early";
/// How long the kernel may take for that: it gives itself a second, and tries again if it was disturbed.
const MEASURING: Duration = Duration::from_secs(4);
/// How often the clock is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Parses the kernel's BTF, has the kernel do so, too, waits for its clock, and overwrites freed memory with zeroes, so that a snapshot need not hold it.
pub fn prepare(parse_btf: bool) {
    if parse_btf {
        kernel_btf::parse_once();
    }
    // In a copy of this process: libbpf raises the limit of locked memory before its first load in a process, and only then. It has to do
    // that for each object.
    let _ = fork::run(|| {
        load_once();
        0
    });
    await_clock();
    // Page cache of files that are in memory anyway; failing to drop it costs room and nothing else.
    let _ = fs::write("/proc/sys/vm/drop_caches", "3");
    zero_free_memory();
}

/// Waits until the kernel knows the rate of its clock: else each restored guest would measure it, and log it, while an object is judged.
fn await_clock() {
    let begin = Instant::now();
    let is_early = || fs::read_to_string(CLOCK).is_ok_and(|name| name.trim_end() == EARLY);
    while is_early() && begin.elapsed() < MEASURING {
        thread::sleep(LOOK);
    }
}

/// Loads a program and lets it go. With the first one a kernel reads its own types, and keeps what it has read.
fn load_once() {
    let instructions = [RETURN_ZERO, EXIT];
    // SAFETY: the instructions outlive the call, and the other pointers are null or strings; gives a descriptor or a negative errno.
    let descriptor = unsafe {
        sys::bpf_prog_load(
            sys::BPF_PROG_TYPE_SOCKET_FILTER,
            ptr::null(),
            c"GPL".as_ptr(),
            instructions.as_ptr(),
            instructions.len() as sys::size_t,
            ptr::null_mut(),
        )
    };
    if descriptor >= 0 {
        // SAFETY: it is open, and owned by no one.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
}

/// The kernel hands out zeroed pages, and hands out fragments first.
fn zero_free_memory() {
    let size = fragments(&fs::read_to_string("/proc/buddyinfo").unwrap_or_default()) + MARGIN;
    // SAFETY: maps fresh anonymous memory at a place of the kernel's choice, and unmaps just that.
    unsafe {
        let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let memory = libc::mmap(ptr::null_mut(), size, read_write, private, -1, 0);
        if memory == libc::MAP_FAILED {
            return;
        }
        // Huge pages would be taken from the large blocks.
        libc::madvise(memory, size, libc::MADV_NOHUGEPAGE);
        for at in (0..size).step_by(PAGE) {
            memory.cast::<u8>().add(at).write_volatile(0);
        }
        libc::munmap(memory, size);
    }
}

/// Bytes in free blocks that are not large. Each line of `/proc/buddyinfo` ends with the number of free blocks of each order.
fn fragments(buddyinfo: &str) -> usize {
    let of_line = |line: &str| -> usize {
        let counts = line.split_whitespace().skip_while(|word| *word != "zone").skip(2);
        counts.take(LARGE_ORDER).enumerate().map(|(order, count)| (PAGE << order) * count.parse().unwrap_or(0)).sum()
    };
    buddyinfo.lines().map(of_line).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_counted_by_their_order() {
        let text = "Node 0, zone      DMA      1      0      0      0      0      0      0      0      1      1      3\n\
                    Node 0, zone    DMA32      2      1      0      0      0      0      0      0      0      0    200\n";
        assert_eq!(fragments(text), PAGE * (1 + 256 + 2 + 2));
        assert_eq!(fragments("nonsense"), 0);
    }
}
