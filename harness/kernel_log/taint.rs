//! [`names`]: the bits of `/proc/sys/kernel/tainted`, from the kernel's `admin-guide/tainted-kernels`.

/// Bit, letter and meaning; whether the kernel sets it together with a splat in its log.
const FLAGS: [(u32, &str, bool); 19] = [
    (0, "P: a proprietary module was loaded", false),
    (1, "F: a module was loaded by force", false),
    (2, "S: the system is out of specification", false),
    (3, "R: a module was unloaded by force", false),
    (4, "M: a machine check", true),
    (5, "B: a bad page", true),
    (6, "U: requested by user space", false),
    (7, "D: an oops or BUG", true),
    (8, "A: the ACPI table was replaced", false),
    (9, "W: a warning", true),
    (10, "C: a staging driver was loaded", false),
    (11, "I: a firmware bug was worked around", false),
    (12, "O: an out-of-tree module was loaded", false),
    (13, "E: an unsigned module was loaded", false),
    (14, "L: a soft lockup", false),
    (15, "K: the kernel was live-patched", false),
    (16, "X: set by the distribution", false),
    (17, "T: built with randomised struct layout", false),
    (18, "N: an in-kernel test was run", false),
];

/// The set bits in words: those that come with a splat, and the others.
pub(super) fn names(bits: u64) -> (Vec<String>, Vec<String>) {
    let known = FLAGS.iter().filter(|(bit, ..)| bits & (1 << bit) != 0);
    let (grave, others): (Vec<_>, Vec<_>) = known.partition(|(_, _, grave)| *grave);
    let words = |flags: Vec<&(u32, &str, bool)>| flags.iter().map(|(_, words, _)| (*words).to_owned()).collect();
    let mut others: Vec<String> = words(others);
    let unknown = bits >> FLAGS.len();
    if unknown != 0 {
        others.push(format!("unknown bits {:#x}", unknown << FLAGS.len()));
    }
    (words(grave), others)
}
