//! The command line: one command, a few flags, nothing else.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

pub const COMMANDS: [(&str, &str); 12] = [
    ("addpiece", "write a piece into a sector's unsealed file"),
    ("datacid", "compute a piece's CID, write nothing"),
    ("precommit1", "label the sector (SDR); empties the cache folder, makes the sealed file anew"),
    ("precommit2", "encode the replica, build its trees; once per PreCommit1"),
    ("commit1", "make the vanilla proofs for a seed"),
    ("commit2", "make the SNARK out of commit1's output; needs Groth parameters"),
    ("finalize", "drop what only sealing needs from the cache folder"),
    ("vanilla", "make the vanilla proof of one sector for a PoSt"),
    ("verify", "verify a seal proof; needs the verifying key"),
    ("unseal-range", "give back the data of a sealed sector, any offset and size"),
    ("params", "check Groth parameters, make them if asked (test networks only)"),
    ("version", "what this program is made of"),
];

const FLAGS: &str = "\
   --request FILE    read the request (JSON) from FILE (default: standard input)
   --result FILE     write the result (JSON) to FILE, in one piece (default: standard output)
   --output FILE     precommit1, commit1: write the phase's output to FILE instead of into the result
   --log text|json   how log lines on standard error look (default: text)
   --parent PID      leave at once unless PID is the parent
   --outlive-parent  keep working when the parent dies (default: end with it)
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStyle {
    Text,
    Json,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub command: String,
    pub request: Option<PathBuf>,
    pub result: Option<PathBuf>,
    pub output: Option<PathBuf>,
    pub log: LogStyle,
    pub parent: Option<i32>,
    pub outlive_parent: bool,
}

/// Reads the arguments after the program's name. `Ok(None)` asks for the help text; `Err` is one line.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Options>, String> {
    let mut options = Options {
        command: String::new(),
        request: None,
        result: None,
        output: None,
        log: LogStyle::Text,
        parent: None,
        outlive_parent: false,
    };
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let (name, mut inline) = split(&argument);
        let mut value = |what: &str| {
            inline.take().or_else(|| arguments.next()).ok_or_else(|| format!("{name} needs {what} after it"))
        };
        match name.as_str() {
            "-h" | "--help" | "help" => return Ok(None),
            "--request" => options.request = Some(value("a file")?.into()),
            "--result" => options.result = Some(value("a file")?.into()),
            "--output" => options.output = Some(value("a file")?.into()),
            "--log" => {
                options.log = match text(value("text or json")?).as_str() {
                    "text" => LogStyle::Text,
                    "json" => LogStyle::Json,
                    other => return Err(format!("--log {other}: text or json")),
                }
            }
            "--parent" => {
                let text = text(value("a process id")?);
                let pid = text.parse().map_err(|_| format!("--parent {text}: not a process id"))?;
                options.parent = Some(pid);
            }
            "--outlive-parent" => options.outlive_parent = true,
            flag if flag.starts_with('-') => return Err(format!("no flag {flag}; --help lists them")),
            word if options.command.is_empty() => options.command = word.to_string(),
            word => return Err(format!("one command at a time: {} or {word}?", options.command)),
        }
    }
    if options.command.is_empty() {
        return Err("no command; --help lists them".into());
    }
    if !COMMANDS.iter().any(|(name, _)| *name == options.command) {
        return Err(format!("no command {}; --help lists them", options.command));
    }
    if options.output.is_some() && !matches!(options.command.as_str(), "precommit1" | "commit1") {
        return Err(format!("--output: {} has no such output; --result is for its result", options.command));
    }
    Ok(Some(options))
}

/// A flag's name, and the value behind its `=`. A path is any bytes, a name is not.
fn split(argument: &OsStr) -> (String, Option<OsString>) {
    let bytes = argument.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=').filter(|_| bytes.starts_with(b"--")) {
        Some(at) => (text(OsStr::from_bytes(&bytes[..at])), Some(OsStr::from_bytes(&bytes[at + 1..]).into())),
        None => (text(argument), None),
    }
}

fn text(argument: impl AsRef<OsStr>) -> String {
    argument.as_ref().to_string_lossy().into_owned()
}

pub fn help() -> String {
    let commands: String = COMMANDS.iter().map(|(name, what)| format!("   {name:<16}  {what}\n")).collect();
    format!(
        "NAME:\n   lotus-proofs - one sealing task of Filecoin, one process\n\n\
         USAGE:\n   lotus-proofs command [flags] < request.json > result.json\n\n\
         COMMANDS:\n{commands}\nFLAGS:\n{FLAGS}\n\
         EXIT CODES:\n   0 done, 1 the library failed, 2 bad input, 3 parameters missing, 4 no space,\n   \
         5 proof invalid, 6 replica touched by an earlier precommit2; ended by a signal: killed\n"
    )
}
