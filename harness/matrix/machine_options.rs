//! [`MachineOptions`]: what the command line says of machines, for all cells or as shapes of every object.

use super::error::MatrixError;
use super::inputs::Inputs;
use super::project::Project;
use crate::manifest::{KernelSpec, UnknownProfile, machine};
use crate::record::{MachineProfile, MachineSettings};
use crate::suite::Shape;

/// What is said of machines for one run. The first of several numbers is for all cells; of each further one, and of each profile, every
/// object gets a shape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineOptions {
    /// Processors.
    pub cpus: Vec<u32>,
    /// Memory in MiB.
    pub memory_mib: Vec<u64>,
    /// NUMA nodes.
    pub numa_nodes: Vec<u32>,
    /// Names of profiles.
    pub profiles: Vec<String>,
}

impl MachineOptions {
    /// What is said of all cells.
    fn of_all_cells(&self) -> MachineSettings {
        MachineSettings {
            cpus: self.cpus.first().copied(),
            memory_mib: self.memory_mib.first().copied(),
            numa_nodes: self.numa_nodes.first().copied(),
            profiles: Vec::new(),
        }
    }

    /// The shapes that every object gets.
    fn shapes(&self, profiles: Vec<MachineProfile>) -> Vec<Shape> {
        let none = MachineSettings::default;
        let cpus = self
            .cpus
            .iter()
            .skip(1)
            .map(|&cpus| (format!("cpus-{cpus}"), MachineSettings { cpus: Some(cpus), ..none() }));
        let memory = self
            .memory_mib
            .iter()
            .skip(1)
            .map(|&mib| (format!("memory-{}", size(mib)), MachineSettings { memory_mib: Some(mib), ..none() }));
        let numa = self
            .numa_nodes
            .iter()
            .skip(1)
            .map(|&nodes| (format!("numa-{nodes}"), MachineSettings { numa_nodes: Some(nodes), ..none() }));
        let profiles = profiles
            .into_iter()
            .map(|profile| (profile.name.clone(), MachineSettings { profiles: vec![profile], ..none() }));
        cpus.chain(memory)
            .chain(numa)
            .chain(profiles)
            .map(|(name, settings)| Shape::of_machine(name, settings))
            .collect()
    }
}

/// As it is written: `1GiB`.
fn size(mib: u64) -> String {
    if mib.is_multiple_of(1024) { format!("{}GiB", mib / 1024) } else { format!("{mib}MiB") }
}

impl Project {
    /// Puts what the command line says of machines into the settings of the inputs.
    ///
    /// # Errors
    /// [`MatrixError::Input`]: an unknown profile, or a shape whose name a suite has given to another.
    pub fn apply_machines(&self, inputs: &mut Inputs, options: &MachineOptions) -> Result<(), MatrixError> {
        inputs.settings.run_machine = options.of_all_cells();
        let shapes = options.shapes(self.profiles(&options.profiles)?);
        for object in &inputs.objects {
            for shape in &shapes {
                let known =
                    inputs.settings.shapes.iter().find(|(of, known)| *of == object.name && known.name == shape.name);
                match known {
                    None => inputs.settings.shapes.push((object.name.clone(), shape.clone())),
                    Some((_, known)) if known == shape => {}
                    Some(_) => {
                        return Err(MatrixError::Input {
                            input: shape.row(&object.name),
                            reason: "a suite already has another shape of that name".to_owned(),
                            hint: "rename the suite's shape, or omit the option".to_owned(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// The kernels as the command line wants their guests, for commands that run in one guest each.
    ///
    /// # Errors
    /// [`MatrixError::Input`]: an unknown profile, or more NUMA nodes than processors.
    pub fn with_machines(
        &self,
        kernels: Vec<KernelSpec>,
        options: &MachineOptions,
    ) -> Result<Vec<KernelSpec>, MatrixError> {
        let settings = MachineSettings { profiles: self.profiles(&options.profiles)?, ..options.of_all_cells() };
        let with = |spec: KernelSpec| {
            let machine = settings.over(&spec.machine);
            match machine::contradiction(&machine) {
                Some((reason, hint)) => Err(MatrixError::Input { input: spec.name, reason, hint }),
                None => Ok(KernelSpec { memory_mib: machine.memory_mib.unwrap_or(spec.memory_mib), machine, ..spec }),
            }
        };
        kernels.into_iter().map(with).collect()
    }

    fn profiles(&self, names: &[String]) -> Result<Vec<MachineProfile>, MatrixError> {
        let mut profiles: Vec<MachineProfile> = Vec::new();
        for name in names {
            let wrong = |error: UnknownProfile| MatrixError::Input {
                input: "--profile".to_owned(),
                reason: error.to_string(),
                hint: error.hint,
            };
            let profile = self.manifest.profiles.get(name).map_err(wrong)?;
            if !profiles.contains(profile) {
                profiles.push(profile.clone());
            }
        }
        Ok(profiles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_number_is_for_all_and_the_others_are_shapes() {
        let options = MachineOptions {
            cpus: vec![1, 8],
            memory_mib: vec![1024, 2048, 300],
            profiles: vec!["x".to_owned()],
            ..MachineOptions::default()
        };
        let all = options.of_all_cells();
        assert_eq!((all.cpus, all.memory_mib, all.numa_nodes), (Some(1), Some(1024), None));
        let profile = MachineProfile { name: "x".to_owned(), boot: vec!["a".to_owned()], ..MachineProfile::default() };
        let shapes = options.shapes(vec![profile]);
        let rows: Vec<String> = shapes.iter().map(|shape| shape.row("tool")).collect();
        assert_eq!(rows, ["tool@cpus-8", "tool@memory-2GiB", "tool@memory-300MiB", "tool@x"]);
        assert_eq!(shapes[0].settings, ["machine.cpus = 8"]);
    }
}
