//! The session of a page: its files are written and its commands are run, one after the other in one directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::page::{Block, Page};
use super::redact;

/// What a page shows and what came out instead.
pub fn differences(root: &Path, page: &Page) -> Vec<String> {
    let folder = tempfile::Builder::new().prefix("cmdoc").tempdir().unwrap();
    // Pages use the objects of `programs/` as if they lay in the reader's directory.
    for object in fs::read_dir(root.join("target/programs")).unwrap().flatten().map(|entry| entry.path()) {
        if object.extension().is_some_and(|extension| extension == "o") {
            symlink(&object, folder.path().join(object.file_name().unwrap())).unwrap();
        }
    }
    let mut session = Session { root, folder: folder.path(), code: 0 };
    let mut wrong = Vec::new();
    for block in page.blocks() {
        if let Some(file) = block.file() {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, block.lines.join("\n") + "\n").unwrap();
        } else if block.is_run() {
            wrong.extend(
                session.run(&block).into_iter().map(|difference| format!("{}:{difference}", page.path.display())),
            );
        }
    }
    wrong
}

struct Session<'a> {
    root: &'a Path,
    folder: &'a Path,
    /// Of the command before.
    code: i32,
}

impl Session<'_> {
    fn run(&mut self, block: &Block) -> Vec<String> {
        let commands = block.commands();
        let mut wrong = Vec::new();
        for (index, (line, command)) in commands.iter().enumerate() {
            let ends = commands.get(index + 1).map_or(block.line + block.lines.len(), |(next, _)| *next);
            // A command goes on behind each `\`.
            let mut begins = *line + 1;
            while block.lines[begins - 1 - block.line].ends_with('\\') {
                begins += 1;
            }
            let shown = block.lines[begins - block.line..ends - block.line].join("\n");
            let asks = commands.get(index + 1).is_some_and(|(_, next)| next == "echo $?");
            wrong.extend(self.command(command, &shown, asks).map(|why| format!("{line}: `{command}`: {why}")));
        }
        wrong
    }

    fn command(&mut self, command: &str, shown: &str, code_is_shown: bool) -> Option<String> {
        let executable = Path::new(env!("CARGO_BIN_EXE_corematrix")).parent().unwrap();
        let path = format!("{}:{}", executable.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("(exit {})\n{command}", self.code)])
            .current_dir(self.folder)
            .env("PATH", path)
            .stdin(Stdio::null());
        let virtme_run = self.root.join(".venv/bin/virtme-run");
        if std::env::var_os("COREMATRIX_VIRTME_RUN").is_none() && virtme_run.is_file() {
            shell.env("COREMATRIX_VIRTME_RUN", virtme_run);
        }
        let output = shell.output().unwrap();
        self.code = output.status.code().unwrap_or(-1);
        let folders = [self.folder, self.root].map(|folder| folder.display().to_string());
        let (said, shown) = (String::from_utf8_lossy(&output.stdout), redact::lines(shown, &folders));
        let missing = redact::first_missing(&shown, &redact::lines(&said, &folders));
        // 1 is a result of corematrix, and a failure of anything else.
        let most = if command.starts_with("corematrix ") { 1 } else { 0 };
        let failed = !code_is_shown && self.code > most;
        let why = match (missing, failed) {
            (None, false) => return None,
            (Some(line), _) => format!("it prints something else than `{line}`"),
            (None, true) => "it fails".to_owned(),
        };
        Some(format!("{why} (exit code {}):\n{said}{}", self.code, String::from_utf8_lossy(&output.stderr)))
    }
}
