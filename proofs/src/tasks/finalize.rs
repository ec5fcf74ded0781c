//! FinalizeSector: what PoSt and unsealing need stays in the cache folder, the rest goes.

use filecoin_proofs_api::seal::{clear_cache, clear_synthetic_proofs};
use serde::Deserialize;
use serde_json::{json, Value};

use crate::disk;
use crate::failure::{bad_input, Failure, Outcome};
use crate::tasks::precommit2::MARKER;
use crate::tasks::{existing_folder, names_in, read};
use crate::wire::{SectorPaths, SectorRef};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    sector: SectorRef,
    paths: SectorPaths,
}

pub fn run(request: Value) -> Outcome<Value> {
    let request: Request = read(request)?;
    request.sector.proof()?;
    let cache = existing_folder("Cache", request.paths.cache.as_ref())?;
    disk::claim_folder(&cache, libc::LOCK_SH)?;
    // Without these the sector was never sealed, and what is here is all that there is of the work on it.
    for name in ["p_aux", "t_aux"] {
        if !cache.join(name).is_file() {
            return bad_input(format!("Paths.Cache {}: no {name}; precommit2 is not done", cache.display()));
        }
    }
    clear_cache(&cache).map_err(|why| Failure::of_library("finalize", &why))?;
    clear_synthetic_proofs(&cache).map_err(|why| Failure::of_library("finalize", &why))?;
    // And what a kill left of writing it.
    for name in names_in(&cache)?.iter().filter(|name| name.starts_with(MARKER)) {
        disk::remove_if_there(&cache.join(name))?;
    }
    Ok(json!({}))
}
