//! Which loader judges which object of the inputs: [`Project::assign_loaders`].

use std::path::PathBuf;

use super::error::MatrixError;
use super::inputs::Inputs;
use super::project::Project;
use crate::loader::{AssignedLoader, AssignedLoaders, Loader, assign, recognise};
use crate::record::LoaderRecord;

impl Project {
    /// Assigns loaders to the objects of the inputs: those that are requested, that suites name, or that objects are recognised to be
    /// made for.
    ///
    /// # Errors
    /// A loader that is named is not there.
    pub fn assign_loaders(&self, inputs: &mut Inputs, asked: &[String]) -> Result<(), MatrixError> {
        // Executables may embed many objects, and be large.
        let mut around: Option<(PathBuf, Option<Vec<u8>>)> = None;
        for object in &inputs.objects {
            let path = &object.origin.path;
            if object.origin.embedded.is_some() && around.as_ref().is_none_or(|(known, _)| known != path) {
                let file = inputs.places.iter().find_map(|place| place.file(path));
                around = Some((path.clone(), file.and_then(|file| std::fs::read(file).ok())));
            }
            let executable = around.as_ref().filter(|(known, _)| known == path).and_then(|(_, bytes)| bytes.as_deref());
            let recognised = recognise(&object.bytes, &path.to_string_lossy(), executable);
            let named = inputs.settings.named_loaders.iter().find(|(of, _)| *of == object.name);
            let named = named.map(|(_, loader)| loader.as_str());
            let assigned = assign(asked, named, recognised, &self.loaders)?;
            inputs.settings.loaders.extend(assigned.map(|assigned| (object.name.clone(), assigned)));
        }
        Ok(())
    }

    /// The loader of a run, found again. `say` gets a line if it is another by now.
    ///
    /// # Errors
    /// It is not there.
    pub fn recorded_loader(
        &self,
        recorded: &LoaderRecord,
        say: &dyn Fn(String),
    ) -> Result<AssignedLoaders, MatrixError> {
        let loader = match recorded.is_by_profile() {
            true => AssignedLoader::Profile(recorded.name.clone()),
            false => AssignedLoader::Executable(Loader::find(&recorded.name, &self.loaders)?),
        };
        if let AssignedLoader::Executable(found) = &loader
            && Some(&found.sha256) != recorded.sha256.as_ref()
        {
            say(format!("the loader `{}` differs from that of the run", recorded.name));
        }
        Ok(AssignedLoaders { loaders: vec![loader], chosen: recorded.chosen.clone() })
    }
}
