//! [`write_whole`]: report files appear whole or not at all.

use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::ReportError;

/// Writes the file at `path` through `fill`. A reader sees the old file or the new one, never half of one.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), ReportError> {
    let error = |source| ReportError::Write { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".report-")
        // Private by default, but reports are there to be read; the umask still applies.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(error)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    fill(&mut writer).and_then(|()| writer.flush()).map_err(error)?;
    drop(writer);
    file.persist(path).map_err(|failed| error(failed.error))?;
    Ok(())
}
