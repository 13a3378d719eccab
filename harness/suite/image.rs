//! [`ImageRef`]: objects out of an OCI image.

use serde::Deserialize;

use super::package::check_files;
use crate::manifest::ImageReference;

/// What an image begins with on a command line and in reports.
pub(super) const SCHEME: &str = "oci://";

/// Objects out of an OCI image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRef {
    /// `REGISTRY/NAME@sha256:DIGEST`, a valid reference; whether it has a digest is not checked yet.
    pub oci: String,
    /// Globs of files inside the image, without a leading `/`; all valid. All files without any.
    #[serde(default)]
    pub files: Vec<String>,
}

impl ImageRef {
    /// The image.
    ///
    /// # Errors
    /// What is wrong, as a lowercase fragment.
    pub fn reference(&self) -> Result<ImageReference, String> {
        // Also as it stands on a command line.
        let name = self.oci.strip_prefix(SCHEME).unwrap_or(&self.oci);
        name.parse().map_err(|reason| format!("`{}` is not an image: {reason}", self.oci))
    }

    /// Checks what goes into addresses and paths; the error is a lowercase fragment.
    pub(super) fn check(&self) -> Result<(), String> {
        self.reference()?;
        check_files(&format!("image `{}`", self.oci), &self.files)
    }
}
