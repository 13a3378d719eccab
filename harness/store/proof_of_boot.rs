//! [`ProofOfBoot`]: that a kernel booted, when, on what, and what was active; kept beside the kernel: [`Store::proof`],
//! [`Store::save_proof`].

use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::{Store, feature_probes};
use crate::protocol::facts::KernelFacts;
use crate::record::KernelIdentity;

/// The file in a kernel's entry.
const PROOFS: &str = "proof.json";
/// Raised when the facts change, so that kernels are booted again.
const FORMAT: u32 = 1;
/// Command lines that are remembered; tests and trials make new ones all the time.
const MOST_PROOFS: usize = 8;

/// A boot that went well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofOfBoot {
    /// When, RFC 3339 in UTC.
    pub booted: String,
    /// Milliseconds from starting QEMU to the guest's hello; `None` if a guest that was restored from a snapshot reported it.
    pub hello_ms: Option<u64>,
    /// QEMU's version.
    pub qemu: String,
    /// virtme-ng's version.
    pub virtme_ng: String,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// What the manifest adds to the kernel's command line: it decides on security modules and lockdown.
    pub append: Vec<String>,
    /// What is active in the guest.
    pub facts: KernelFacts,
}

impl ProofOfBoot {
    /// The proof as pairs of a name and a value, for people.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let took = self.hello_ms.map(|ms| format!(" in {ms}ms")).unwrap_or_default();
        let mut rows = vec![
            ("booted", format!("{}{took}", self.booted)),
            ("with", format!("QEMU {} ({}), virtme-ng {}", self.qemu, self.accelerator, self.virtme_ng)),
        ];
        if !self.append.is_empty() {
            rows.push(("command line", self.append.join(" ")));
        }
        rows.extend(self.facts.rows());
        rows
    }
}

impl fmt::Display for ProofOfBoot {
    /// One row a line, names padded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows().iter().try_for_each(|(name, value)| writeln!(f, "{name:<20}  {value}"))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Proofs {
    format: u32,
    /// The newest first, one for each command line.
    boots: Vec<ProofOfBoot>,
}

impl Store {
    /// All proofs that this kernel boots, the newest first. Nothing is waited for; damage counts as none.
    pub fn proofs(&self, identity: &KernelIdentity) -> Vec<ProofOfBoot> {
        let read = |folder: std::path::PathBuf| {
            let proofs: Proofs = serde_json::from_slice(&fs::read(folder.join(PROOFS)).ok()?).ok()?;
            (proofs.format == FORMAT).then_some(proofs.boots)
        };
        self.entries_of(identity).into_iter().find_map(read).unwrap_or_default()
    }

    /// The proof that this kernel boots with these words added to its command line.
    pub fn proof(&self, identity: &KernelIdentity, append: &[String]) -> Option<ProofOfBoot> {
        self.proofs(identity).into_iter().find(|proof| proof.append == append)
    }

    /// Keeps a proof instead of the one for the same command line. Nothing is kept for a kernel that the store no longer has.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it cannot be written.
    pub fn save_proof(&self, identity: &KernelIdentity, proof: ProofOfBoot) -> Result<(), StoreError> {
        let Some(folder) = self.entries_of(identity).into_iter().next() else { return Ok(()) };
        let mut boots = self.proofs(identity);
        boots.retain(|known| known.append != proof.append);
        boots.insert(0, proof);
        boots.truncate(MOST_PROOFS);
        feature_probes::replace(&folder, PROOFS, &Proofs { format: FORMAT, boots })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A proof of a boot with these words.
    pub(crate) fn proof(append: &str) -> ProofOfBoot {
        ProofOfBoot {
            booted: "2026-05-01T12:00:00Z".to_owned(),
            hello_ms: Some(2400),
            qemu: "10.0.2".to_owned(),
            virtme_ng: "1.42".to_owned(),
            accelerator: "tcg".to_owned(),
            append: append.split_whitespace().map(str::to_owned).collect(),
            facts: KernelFacts { release: "6.1.0-50-cloud-amd64".to_owned(), ..KernelFacts::default() },
        }
    }

    #[test]
    fn proof_tells_when_and_on_what_before_the_facts() {
        let text = proof("lsm=bpf").to_string();
        let lines: Vec<&str> = text.lines().take(4).collect();
        assert_eq!(
            lines,
            [
                "booted                2026-05-01T12:00:00Z in 2400ms",
                "with                  QEMU 10.0.2 (tcg), virtme-ng 1.42",
                "command line          lsm=bpf",
                "release               6.1.0-50-cloud-amd64",
            ]
        );
    }
}
