//! What can go wrong, as whoever called sees it: an exit code and one line.

use std::fmt;
use std::io;

/// Exit codes. They are part of the contract (README.md); a number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The library refused or panicked; the message is its own.
    Failed = 1,
    /// The request or the files that it names cannot be right; nothing was begun.
    BadInput = 2,
    /// Groth parameters or verifying key are missing, cut, or not trusted.
    NoParameters = 3,
    /// A disk is full, or would be.
    NoSpace = 4,
    /// A proof does not hold: the one to verify, or one made here from a sector whose files do not fit.
    InvalidProof = 5,
    /// PreCommit2 has been in this replica before: only PreCommit1 makes it good again.
    ReplicaTouched = 6,
}

impl Code {
    /// The name in a result's `Error.Kind`.
    pub fn kind(self) -> &'static str {
        match self {
            Code::Failed => "failed",
            Code::BadInput => "bad-input",
            Code::NoParameters => "missing-parameters",
            Code::NoSpace => "no-space",
            Code::InvalidProof => "invalid-proof",
            Code::ReplicaTouched => "replica-touched",
        }
    }
}

/// A failure with its exit code and one line of text.
#[derive(Clone, Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
}

pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Failure { code, message: one_line(&message.into()) }
    }

    /// An error of the library in step `what`, under the code that its text and causes call for.
    pub fn of_library(what: &str, error: &anyhow::Error) -> Self {
        let text = format!("{error:#}");
        let full = error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_full));
        let code = if full { Code::NoSpace } else { code_of_text(&text) };
        Failure::new(code, format!("{what}: {text}"))
    }

    /// A panic of the library; same reading of its text.
    pub fn of_panic(text: &str) -> Self {
        Failure::new(code_of_text(text), format!("the proofs library gave up: {text}"))
    }

    /// An input or output error with the path that it happened on.
    pub fn of_io(what: impl fmt::Display, error: &io::Error) -> Self {
        let code = if is_full(error) { Code::NoSpace } else { Code::Failed };
        Failure::new(code, format!("{what}: {error}"))
    }
}

/// Shorthand for the commonest failure.
pub fn bad_input<T>(message: impl Into<String>) -> Outcome<T> {
    Err(Failure::new(Code::BadInput, message))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

/// The library's errors are texts; these are the ones that mean more than "failed".
fn code_of_text(text: &str) -> Code {
    const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];
    const PARAMETERS: [&str; 3] = ["No cached parameters found", "Invalid parameters file", "No cached srs key found"];
    const INVALID: [&str; 6] = [
        "Invalid vanilla proof",
        "Invalid encoding proof",
        "Invalid synth",
        "sanity check failed",
        "post seal aggregation verifies",
        "Vanilla proof didn't verify",
    ];
    let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    if has(&FULL) {
        Code::NoSpace
    } else if has(&PARAMETERS) {
        Code::NoParameters
    } else if has(&INVALID) {
        Code::InvalidProof
    } else {
        Code::Failed
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
