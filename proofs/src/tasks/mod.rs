//! The commands: each takes its request and gives its result, both JSON with Lotus's member names.

mod commit;
mod finalize;
mod piece;
mod precommit1;
mod precommit2;
mod unseal;
mod vanilla;
mod verify;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{json, Value};

use crate::cli::Options;
use crate::failure::{bad_input, Failure, Outcome};
use crate::process::{absolute, shown};
use crate::wire::Bytes;
use crate::{disk, params};

pub fn run(options: &Options) -> Outcome<Value> {
    if options.command == "version" {
        return Ok(version());
    }
    let output = options.output.as_deref().map(absolute);
    if let Some(file) = &output {
        disk::check_output("--output", file)?;
    }
    let request = read_request(options)?;
    match options.command.as_str() {
        "addpiece" => piece::add(request),
        "datacid" => piece::cid(request),
        "precommit1" => precommit1::run(request, output),
        "precommit2" => precommit2::run(request),
        "commit1" => commit::one(request, output),
        "commit2" => commit::two(request),
        "finalize" => finalize::run(request),
        "vanilla" => vanilla::run(request),
        "verify" => verify::run(request),
        "unseal-range" => unseal::run(request),
        "params" => params::run(request),
        other => bad_input(format!("no command {other}")),
    }
}

fn version() -> Value {
    let features: Vec<&str> = [
        ("cuda", cfg!(feature = "cuda")),
        ("opencl", cfg!(feature = "opencl")),
        ("multicore-sdr", cfg!(feature = "multicore-sdr")),
    ]
    .iter()
    .filter_map(|(name, on)| on.then_some(*name))
    .collect();
    json!({
        "Program": "lotus-proofs", "Version": env!("CARGO_PKG_VERSION"), "Contract": 1,
        "Library": "filecoin-proofs-api 19.1.0", "Features": features,
    })
}

fn read_request(options: &Options) -> Outcome<Value> {
    let text = match &options.request {
        Some(path) => {
            let path = absolute(path);
            fs::read_to_string(&path).or_else(|why| bad_input(format!("--request {}: {why}", path.display())))?
        }
        None => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.or_else(|why| bad_input(format!("the request on standard input: {why}")))?;
            text
        }
    };
    serde_json::from_str(&text).or_else(|why| bad_input(format!("the request is no JSON: {why}")))
}

/// The request as a command's own type.
pub fn read<T: DeserializeOwned>(request: Value) -> Outcome<T> {
    serde_json::from_value(request).or_else(|why| bad_input(format!("the request: {why}")))
}

/// A path that this command cannot do without.
pub fn path(what: &str, path: Option<&PathBuf>) -> Outcome<PathBuf> {
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()).map(|path| absolute(path)) else {
        return bad_input(format!("Paths.{what} is missing"));
    };
    match path.to_str() {
        Some(_) => Ok(path),
        // It would go into PreCommit1's output, after hours.
        None => bad_input(format!("Paths.{what} {}: is no UTF-8 text; give it another name", path.display())),
    }
}

pub fn existing_folder(what: &str, given: Option<&PathBuf>) -> Outcome<PathBuf> {
    let folder = path(what, given)?;
    match fs::metadata(&folder) {
        Ok(found) if found.is_dir() => Ok(folder),
        Ok(_) => bad_input(format!("Paths.{what} {}: not a folder", folder.display())),
        Err(why) => bad_input(format!("Paths.{what} {}: {why}", folder.display())),
    }
}

/// A sealed file of the right size.
pub fn existing_replica(given: Option<&PathBuf>, size: u64) -> Outcome<PathBuf> {
    let file = path("Sealed", given)?;
    match fs::metadata(&file) {
        Ok(found) if found.is_file() && found.len() == size => Ok(file),
        Ok(found) => bad_input(format!("Paths.Sealed {}: {} bytes, not {size}", file.display(), found.len())),
        Err(why) => bad_input(format!("Paths.Sealed {}: {why}", file.display())),
    }
}

/// What an earlier phase put out: in the request itself or in a file that it names.
pub fn phase_output(name: &str, bytes: Bytes, file: Option<PathBuf>) -> Outcome<Vec<u8>> {
    match (bytes.0.is_empty(), file) {
        (false, None) => Ok(bytes.0),
        (true, Some(file)) => {
            let file = absolute(&file);
            fs::read(&file).or_else(|why| bad_input(format!("{name}File {}: {why}", file.display())))
        }
        (true, None) => bad_input(format!("{name} is missing")),
        (false, Some(_)) => bad_input(format!("{name} and {name}File: only one of them")),
    }
}

/// A phase's output into the result, or into the file of `--output`.
pub fn give(name: &str, bytes: Vec<u8>, output: Option<PathBuf>) -> Outcome<Value> {
    match output {
        None => Ok(json!({ name: Bytes(bytes) })),
        Some(file) => {
            disk::write_output("--output", &file, &bytes)?;
            Ok(json!({ format!("{name}File"): shown(&file), "Size": bytes.len() }))
        }
    }
}

/// An error of reading the library's own JSON.
pub fn not_the_librarys<T>(name: &str, why: &serde_json::Error) -> Outcome<T> {
    bad_input(format!("{name} is not the proofs library's: {why}"))
}

/// The proof type in an earlier phase's output must be the sector's.
pub fn same_proof(
    name: &str,
    found: filecoin_proofs_api::RegisteredSealProof,
    wanted: filecoin_proofs_api::RegisteredSealProof,
) -> Outcome<()> {
    if found == wanted {
        return Ok(());
    }
    bad_input(format!("{name} is of {found:?}, the sector of {wanted:?}"))
}

/// Names that the proofs library and this program give to files in a sector's cache folder.
pub fn is_cache_file(name: &str) -> bool {
    const HEADS: [&str; 4] = ["sc-02-data-", "syn-porep-vanilla-proofs", "lotus-proofs-", ".nfs"];
    name == "p_aux" || name == "t_aux" || HEADS.iter().any(|head| name.starts_with(head))
}

pub fn names_in(folder: &Path) -> Outcome<Vec<String>> {
    let list = || -> std::io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    list().map_err(|why| Failure::of_io(folder.display(), &why))
}
