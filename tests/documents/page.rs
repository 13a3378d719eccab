//! [`Page`]: a Markdown file, and the blocks of code in it.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories with pages, beside those at the root.
const FOLDERS: [&str; 6] = ["docs", "programs", "programs/systems", "images", "images/loaders", "reports"];
/// Describes the past: it names commands as they were.
const HISTORY: &str = "CHANGELOG.md";

pub struct Page {
    /// Relative to the root.
    pub path: PathBuf,
    pub text: String,
}

/// A block of code.
pub struct Block {
    /// The first line of its text, counted from 1.
    pub line: usize,
    /// What stands behind the fence, word by word; nothing for an indented block.
    pub info: Vec<String>,
    pub lines: Vec<String>,
}

impl Block {
    /// Whether its commands are run.
    pub fn is_run(&self) -> bool {
        self.info.first().is_some_and(|language| language == "console") && self.info.iter().any(|word| word == "run")
    }

    /// The file that its text is written to.
    pub fn file(&self) -> Option<&str> {
        self.info.iter().find_map(|word| word.strip_prefix("file="))
    }

    /// The commands with their lines: behind `$ ` in a session, any line elsewhere; a `\` at its end takes the next line in.
    pub fn commands(&self) -> Vec<(usize, String)> {
        let is_session = self.info.first().is_some_and(|language| language == "console");
        let mut commands: Vec<(usize, String)> = Vec::new();
        let mut goes_on = false;
        for (number, line) in self.lines.iter().enumerate() {
            let text = if is_session && !goes_on { line.strip_prefix("$ ") } else { Some(line.as_str()) };
            let Some(text) = text else { continue };
            let (text, more) = text.strip_suffix('\\').map_or((text, false), |text| (text, true));
            match commands.last_mut() {
                Some((_, command)) if goes_on => command.push_str(text.trim_start()),
                _ => commands.push((self.line + number, text.to_owned())),
            }
            goes_on = more;
        }
        commands
    }
}

impl Page {
    pub fn read(root: &Path, path: &Path) -> Page {
        let text = fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Page { path: path.to_owned(), text }
    }

    pub fn is_run(&self) -> bool {
        self.blocks().iter().any(Block::is_run)
    }

    pub fn blocks(&self) -> Vec<Block> {
        self.split().0
    }

    /// Lines that are no code, each with its number.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        self.split().1
    }

    fn split(&self) -> (Vec<Block>, Vec<(usize, &str)>) {
        let (mut blocks, mut prose): (Vec<Block>, Vec<(usize, &str)>) = (Vec::new(), Vec::new());
        let mut fence: Option<Block> = None;
        let mut indented = false;
        for (number, line) in self.text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
            let trimmed = line.trim_start();
            if let Some(block) = &mut fence {
                match trimmed.starts_with("```") {
                    true => blocks.extend(fence.take()),
                    false => block.lines.push(line.to_owned()),
                }
            } else if let Some(info) = trimmed.strip_prefix("```") {
                let info = info.split_whitespace().map(str::to_owned).collect();
                fence = Some(Block { line: number + 1, info, lines: Vec::new() });
            } else if line.starts_with("    ")
                && (indented || prose.last().is_none_or(|(_, before)| before.trim().is_empty()))
            {
                if !indented {
                    blocks.push(Block { line: number, info: Vec::new(), lines: Vec::new() });
                }
                indented = true;
                blocks.last_mut().unwrap().lines.push(line.trim_start().to_owned());
            } else {
                indented = false;
                prose.push((number, line));
            }
        }
        assert!(fence.is_none(), "{}: a block of code does not end", self.path.display());
        (blocks, prose)
    }
}

/// All pages of the project.
pub fn pages(root: &Path) -> Vec<Page> {
    let mut files = markdown(root);
    files.extend(FOLDERS.iter().flat_map(|folder| markdown(&root.join(folder))));
    files
        .extend(["how-to", "reference", "explanation"].iter().flat_map(|part| markdown(&root.join("docs").join(part))));
    files.sort();
    let relative = |file: &PathBuf| file.strip_prefix(root).unwrap().to_owned();
    files.iter().map(relative).filter(|path| path != Path::new(HISTORY)).map(|path| Page::read(root, &path)).collect()
}

fn markdown(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}
