//! [`Pins`]: the directory for maps that are pinned by name.

use std::path::{Path, PathBuf};
use std::{fs, io, process};

const BPFFS: &str = "/sys/fs/bpf";

/// A separate directory in bpffs, so that no load finds the maps of another; removed with everything in it in the end.
pub struct Pins(PathBuf);

impl Pins {
    pub fn make() -> io::Result<Self> {
        let folder = Path::new(BPFFS).join(format!("corematrix-{}", process::id()));
        let pins = Self(folder);
        fs::create_dir(&pins.0)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", pins.0.display())))?;
        Ok(pins)
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    pub fn clear(&self) -> io::Result<()> {
        for pin in fs::read_dir(&self.0)? {
            fs::remove_file(pin?.path())?;
        }
        Ok(())
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if let Err(error) = self.clear().and_then(|()| fs::remove_dir(&self.0)) {
            eprintln!("warning: {}: {error}", self.0.display());
        }
    }
}
