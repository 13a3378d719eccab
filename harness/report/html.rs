//! [`render`]: one page for a browser that needs nothing else.

use std::io;

use super::Material;

/// The page.
///
/// # Errors
/// None that comes from the record.
pub fn render(material: &Material<'_>) -> io::Result<String> {
    Ok(format!("<!doctype html><title>{}</title>", material.record.started))
}
