//! Writes the manual pages and the completions of bash, zsh and fish, in the directories where they are looked for below `PREFIX/share`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;
use corematrix::cli::Cli;

const NAME: &str = "corematrix";

fn main() -> ExitCode {
    let Some(share) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: corematrix-pages DIR");
        return ExitCode::from(2);
    };
    match write(&share) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write below `{}`: {error}", share.display());
            ExitCode::FAILURE
        }
    }
}

fn write(share: &Path) -> std::io::Result<()> {
    let man = share.join("man/man1");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(Cli::command(), &man)?;
    for (shell, folder, file) in [
        (Shell::Bash, "bash-completion/completions", "corematrix"),
        (Shell::Zsh, "zsh/site-functions", "_corematrix"),
        (Shell::Fish, "fish/vendor_completions.d", "corematrix.fish"),
    ] {
        let folder = share.join(folder);
        fs::create_dir_all(&folder)?;
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
        fs::write(folder.join(file), text)?;
    }
    Ok(())
}
