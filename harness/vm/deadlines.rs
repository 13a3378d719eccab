//! [`Deadlines`]: how long each thing that is done with a machine may take.

use std::time::Duration;

use super::Accelerator;

/// How much longer things take when every instruction is translated. Measured: 5 to 9 times for a boot.
const EMULATION_FACTOR: u32 = 6;

/// So many emulated processors take as long again. Measured on two cores: see `with_cpus`.
const CPUS_OF_ONE_MORE: u32 = 16;

/// The `boot-timeout` that the limits below go with. A longer one says that the machine is slow, and lengthens them all.
const USUAL_BOOT: Duration = Duration::from_secs(20);
/// Saving takes 0.01 to 0.2 s.
const SAVE: Duration = Duration::from_secs(30);
/// Restoring takes 0.1 to 0.4 s under emulation; one that takes longer than this will never answer.
const RESTORE: Duration = Duration::from_secs(15);
/// Composing takes 0.1 to 0.5 s; a minute means that it hangs.
const COMPOSE: Duration = Duration::from_secs(60);
/// A program does no more than print its version.
const VERSION: Duration = Duration::from_secs(20);

/// How long each phase may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From starting QEMU to hello.
    pub boot: Duration,
    /// Opening and preparing an object, and loading one program.
    pub program: Duration,
    /// Letting a guest settle and saving it, each.
    pub save: Duration,
    /// From starting QEMU to the hello of a guest that is restored.
    pub restore: Duration,
    /// What virtme-ng takes to compose a machine.
    pub compose: Duration,
}

impl Deadlines {
    /// The manifest's times are for hardware virtualisation; emulation gets more, in one place.
    pub fn scaled(boot: Duration, program: Duration, accelerator: Accelerator) -> Self {
        let factor = match accelerator {
            Accelerator::Kvm => 1,
            Accelerator::Tcg => EMULATION_FACTOR,
        };
        let scaled = |time: Duration| time.saturating_mul(factor);
        Deadlines {
            boot: scaled(boot),
            program: scaled(program),
            save: stretched(SAVE, boot),
            // Who gives a boot less time than this wants to wait no longer for a restore.
            restore: stretched(RESTORE, boot).min(scaled(boot)),
            compose: stretched(COMPOSE, boot),
        }
    }

    /// The same for a guest with so many processors. Emulated ones share the few of this machine, and each waits for the others
    /// wherever a kernel does something on all of them.
    #[must_use]
    pub fn with_cpus(self, cpus: u32, accelerator: Accelerator) -> Self {
        if cpus <= 1 || accelerator == Accelerator::Kvm {
            return self;
        }
        let more = |time: Duration| time.saturating_mul(2 + cpus / CPUS_OF_ONE_MORE);
        Deadlines {
            boot: more(self.boot),
            program: more(self.program),
            save: more(self.save),
            restore: more(self.restore),
            compose: self.compose,
        }
    }

    /// How long a program may take to print its version, with this `boot-timeout`.
    pub fn version(boot: Duration) -> Duration {
        stretched(VERSION, boot)
    }
}

/// `usual`, as many times as `boot` is longer than usual.
fn stretched(usual: Duration, boot: Duration) -> Duration {
    if boot <= USUAL_BOOT {
        return usual;
    }
    let milliseconds = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    usual.saturating_mul(milliseconds(boot)) / milliseconds(USUAL_BOOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(boot: u64, accelerator: Accelerator) -> [u64; 5] {
        let boot = Duration::from_secs(boot);
        let Deadlines { boot, save, restore, compose, .. } = Deadlines::scaled(boot, boot, accelerator);
        [boot, save, restore, compose, Deadlines::version(boot)].map(|limit| limit.as_secs())
    }

    #[test]
    fn longer_boot_timeout_lengthens_every_limit() {
        assert_eq!(seconds(20, Accelerator::Kvm), [20, 30, 15, 60, 20]);
        assert_eq!(seconds(300, Accelerator::Kvm), [300, 450, 225, 900, 300]);
        assert_eq!(seconds(30, Accelerator::Kvm)[..4], [30, 45, 22, 90]);
        // Emulation alone makes none of them longer: they have room for it.
        assert_eq!(seconds(20, Accelerator::Tcg)[..4], [120, 30, 15, 60]);
    }

    #[test]
    fn shorter_one_shortens_nothing_but_a_restore() {
        assert_eq!(seconds(1, Accelerator::Kvm)[..4], [1, 30, 1, 60]);
        assert_eq!(seconds(1, Accelerator::Tcg)[..4], [6, 30, 6, 60]);
        assert_eq!(seconds(u64::MAX, Accelerator::Tcg)[0], u64::MAX);
    }
}
