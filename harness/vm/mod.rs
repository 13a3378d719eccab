//! Virtual machines: composed by virtme-ng, run by us. Nothing outside this module knows virtme-ng or QEMU.
//!
//! [`Toolchain`] finds the programs, [`Accelerator`] is chosen by proof, [`Machine`] is a booted guest.

mod accelerator;
mod boot;
mod boot_config;
mod boot_end;
mod channel;
mod compose;
mod console;
mod cpu;
mod deadlines;
mod debug;
mod guest_cpu;
mod guest_executable;
mod guest_shape;
mod initramfs;
mod kvm_record;
mod last_words;
mod machine;
mod memory;
mod paused_machine;
mod qmp;
mod restore;
mod running_guest;
mod snapshot;
mod state_transfer;
mod toolchain;
mod virtme_ng;

pub use accelerator::{Accelerator, AcceleratorFailure, Choice, KvmMemory, NoKvm, ProvenAccelerator, choose};
pub use boot_config::notes as config_notes;
pub use deadlines::Deadlines;
pub use debug::DebugOptions;
pub use guest_cpu::KvmCpu;
pub use guest_executable::{GuestExecutable, NoGuest};
pub use guest_shape::GuestShape;
pub use initramfs::GuestFile;
pub use machine::{BootFailure, GuestLink, GuestLoss, Machine, MachineSpec};
pub use paused_machine::PausedMachine;
pub use restore::RestoreFailure;
pub use running_guest::RunningGuest;
pub use snapshot::{CPU as SNAPSHOT_CPU, SaveError, key as snapshot_key};
pub use toolchain::{ToolPaths, Toolchain, ToolchainError};
pub use virtme_ng::VirtmeNg;
