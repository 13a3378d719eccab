//! Virtual machines: composed by virtme-ng, run by us. Nothing outside this module knows virtme-ng or QEMU.
//!
//! [`Toolchain`] finds the programs, [`Accelerator`] is chosen by proof, [`Machine`] is a booted guest.

mod accelerator;
mod aids;
mod boot;
mod boot_config;
mod boot_end;
mod channel;
mod compose;
mod console;
mod initramfs;
mod machine;
mod memory;
mod qmp;
mod restore;
mod snapshot;
mod toolchain;

use std::time::Duration;

pub use accelerator::{Accelerator, Choice, NoProof, Proof, choose};
pub use aids::Aids;
pub use boot_config::notes as config_notes;
pub use machine::{BootFailure, GuestLink, GuestLoss, Machine, MachineSpec};
pub use restore::RestoreFailure;
pub use snapshot::{SaveError, key as snapshot_key};
pub use toolchain::{Toolchain, ToolchainError};

/// How much longer things take when every instruction is translated. Measured: 5 to 9 times for a boot.
const EMULATION_FACTOR: u32 = 6;

/// How long each phase may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From starting QEMU to hello.
    pub boot: Duration,
    /// Opening and preparing an object, and loading one program.
    pub program: Duration,
}

impl Deadlines {
    /// The manifest's times are for hardware virtualisation; emulation gets more, in one place.
    pub fn scaled(boot: Duration, program: Duration, accelerator: Accelerator) -> Self {
        let factor = match accelerator {
            Accelerator::Kvm => 1,
            Accelerator::Tcg => EMULATION_FACTOR,
        };
        Deadlines { boot: boot * factor, program: program * factor }
    }
}
