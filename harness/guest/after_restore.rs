//! [`Waking`]: makes a guest that was restored from a snapshot live in the present, and unlike its siblings.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::time::SystemTime;

use corematrix_protocol::Woken;

/// Adds to the kernel's randomness and counts it as such; from `linux/random.h`.
const RNDADDENTROPY: libc::Ioctl = 0x4008_5203;
/// Makes the kernel's generator start again from what was added; from `linux/random.h`.
const RNDRESEEDCRNG: libc::Ioctl = 0x5207;
/// The kernel's generator.
const RANDOM: &str = "/dev/urandom";
/// Bytes of entropy in one request.
const ENTROPY: usize = 32;

/// The kernel's `struct rand_pool_info`.
#[repr(C)]
struct PoolInfo {
    entropy_bits: libc::c_int,
    bytes: libc::c_int,
    buffer: [u8; ENTROPY],
}

/// What waking takes, opened before the snapshot: each restored guest does again what is done after it.
pub struct Waking {
    random: File,
}

impl Waking {
    /// Opens it.
    pub fn prepare() -> Result<Waking, String> {
        let random = File::open(RANDOM).map_err(|error| format!("cannot open `{RANDOM}`: {error}"))?;
        Ok(Waking { random })
    }

    /// Sets the clock and reseeds the kernel's random numbers. Returns what could not be done.
    pub fn adapt(&self, realtime_ns: u64, entropy: &[u8]) -> Vec<String> {
        let mut notes = Vec::new();
        if let Err(error) = set_clock(realtime_ns) {
            notes.push(format!("cannot set the clock after restoring: {error}"));
        }
        if let Err(error) = reseed(&self.random, entropy) {
            notes.push(format!("cannot reseed the random numbers after restoring: {error}"));
        }
        notes
    }

    /// What the host shall judge the outcome by.
    pub fn look(&self) -> std::io::Result<Woken> {
        let mut random = [0; 8];
        (&self.random).read_exact(&mut random)?;
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let realtime_ns = u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX);
        Ok(Woken { realtime_ns, random: u64::from_le_bytes(random) })
    }
}

fn set_clock(realtime_ns: u64) -> std::io::Result<()> {
    const SECOND: u64 = 1_000_000_000;
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(realtime_ns / SECOND).map_err(std::io::Error::other)?,
        tv_nsec: libc::c_long::try_from(realtime_ns % SECOND).map_err(std::io::Error::other)?,
    };
    // SAFETY: `time` is a valid timespec for the call.
    match unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn reseed(random: &File, entropy: &[u8]) -> std::io::Result<()> {
    let buffer: [u8; ENTROPY] = entropy.try_into().map_err(|_| std::io::Error::other("the host sent no entropy"))?;
    let pool = PoolInfo { entropy_bits: ENTROPY as libc::c_int * 8, bytes: ENTROPY as libc::c_int, buffer };
    // SAFETY: the descriptor is open and `pool` is laid out as the kernel's `rand_pool_info` with its bytes behind it.
    if unsafe { libc::ioctl(random.as_raw_fd(), RNDADDENTROPY, &raw const pool) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open and the request takes no argument.
    match unsafe { libc::ioctl(random.as_raw_fd(), RNDRESEEDCRNG) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
