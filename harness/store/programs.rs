//! [`Programs`]: what the sources of kernels run, and where it is found.

use std::path::PathBuf;

/// Where programs and their settings are found.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub apt_get: PathBuf,
    pub apt_cache: PathBuf,
    /// `/etc/apt`.
    pub apt_etc: PathBuf,
    /// `vng`, which downloads and builds kernels.
    pub virtme_ng: Option<PathBuf>,
    /// Pythons that may have python-tuf, most preferred first; the one on the PATH is the last.
    pub pythons: Vec<PathBuf>,
}

impl Default for Programs {
    fn default() -> Self {
        Programs {
            apt_get: "apt-get".into(),
            apt_cache: "apt-cache".into(),
            apt_etc: "/etc/apt".into(),
            virtme_ng: None,
            pythons: vec!["python3".into()],
        }
    }
}
