//! [`fuzz`]: readers get bytes that no one wrote, and must answer in bounded time and memory, with any answer.
//!
//! `make fuzz` runs longer. What fails is made again by `COREMATRIX_FUZZ_SEED` and `COREMATRIX_FUZZ_ROUND`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Inputs for each target, unless `COREMATRIX_FUZZ_ROUNDS` says otherwise.
const ROUNDS: u64 = 500;
/// Edits of one input, at most.
const MOST_EDITS: u64 = 8;
/// Memory that one input may take, in bytes.
const MOST_MEMORY: isize = 512 << 20;
/// Nothing takes so long but what goes on for ever.
const MOST_TIME: Duration = Duration::from_secs(30);

/// The system's allocator, which counts what each thread holds.
struct Counted;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST_HELD: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no cells left.
    let _ = HELD.try_with(|held| {
        held.set(held.get().saturating_add(bytes));
        let _ = MOST_HELD.try_with(|most| most.set(most.get().max(held.get())));
    });
}

fn size(layout: Layout) -> isize {
    isize::try_from(layout.size()).unwrap_or(isize::MAX)
}

// SAFETY: all is done by the system's allocator; numbers are counted beside it, without allocating.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-size(layout));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(isize::try_from(bytes).unwrap_or(isize::MAX).saturating_sub(size(layout)));
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, bytes) }
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;

/// SplitMix64: a round is made again without those before it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Less than `end`; 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Gives `each` every seed as it is, and then changed ones. `name` is that of the target.
///
/// # Panics
/// `each` panics, takes too long, or takes too much memory. The input is kept then, and named.
#[track_caller]
pub fn fuzz(name: &str, seeds: &[Vec<u8>], each: impl Fn(&[u8])) {
    let rounds = setting("COREMATRIX_FUZZ_ROUNDS").unwrap_or(ROUNDS);
    let seed = setting("COREMATRIX_FUZZ_SEED").unwrap_or(1);
    let only = setting("COREMATRIX_FUZZ_ROUND");
    let kept: PathBuf = std::env::temp_dir().join(format!("corematrix-fuzz-{name}-{}", std::process::id()));
    for round in only.map_or(0..rounds, |only| only..only + 1) {
        let input = input(name, seeds, seed, round);
        // Also what ends the process leaves its input behind.
        std::fs::write(&kept, &input).unwrap();
        let place = format!(
            "target {name}, COREMATRIX_FUZZ_SEED={seed} COREMATRIX_FUZZ_ROUND={round}, input {}",
            kept.display()
        );
        let (begin, held) = (Instant::now(), HELD.get());
        MOST_HELD.set(held);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| each(&input))) {
            eprintln!("panicked: {place}");
            resume_unwind(panic);
        }
        let (time, memory) = (begin.elapsed(), MOST_HELD.get() - held);
        assert!(memory <= MOST_MEMORY, "took {memory} bytes: {place}");
        assert!(time <= MOST_TIME, "took {time:?}: {place}");
    }
    let _ = std::fs::remove_file(&kept);
}

fn input(name: &str, seeds: &[Vec<u8>], seed: u64, round: u64) -> Vec<u8> {
    if let Some(plain) = usize::try_from(round).ok().and_then(|round| seeds.get(round)) {
        return plain.clone();
    }
    let named = name.bytes().fold(seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = Random(named ^ round.wrapping_mul(0xd134_2543_de82_ef95));
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.next() % MOST_EDITS {
        edit(&mut input, seeds, &mut random);
    }
    input
}

/// Changes a bit, a number, or a piece.
fn edit(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    const NUMBERS: [u64; 12] = [
        0,
        1,
        2,
        0x7f,
        0xff,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fff8,
        0xffff_ffff,
        0x7fff_ffff_ffff_ffff,
        u64::MAX,
    ];
    let at = random.below(input.len());
    let end = at + random.below((input.len() - at).min(64) + 1);
    match random.next() % 8 {
        0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
        1 if !input.is_empty() => input[at] = random.next() as u8,
        // Counts and offsets lie where they can be divided by their size, most often.
        2 | 3 => {
            let width = random.one(&[1, 2, 4, 4, 4, 8]);
            let at = at / width * width;
            let number = match random.next() % 3 {
                0 => random.next() % 64,
                1 => input.len() as u64,
                _ => random.one(&NUMBERS),
            };
            let bytes = number.to_le_bytes();
            input.iter_mut().skip(at).zip(&bytes[..width]).for_each(|(own, byte)| *own = *byte);
        }
        4 => input.truncate(at),
        5 => drop(input.drain(at..end)),
        6 => {
            let piece = input[at..end].to_vec();
            let to = random.below(input.len());
            input.splice(to..to, piece);
        }
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            let piece = &other[from..from + random.below((other.len() - from).min(256) + 1)];
            input.iter_mut().skip(at).zip(piece).for_each(|(own, byte)| *own = *byte);
        }
    }
}
