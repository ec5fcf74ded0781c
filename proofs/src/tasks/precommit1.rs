//! PreCommit1: label the sector.
//!
//! The library takes layers that it finds in the cache folder for its own if only their size is right, and wants
//! the sealed file to exist. So the folder is emptied and the file made anew, as Lotus does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use filecoin_proofs_api::seal::{seal_pre_commit_phase1, SealPreCommitPhase1Output};
use filecoin_proofs_api::RegisteredSealProof;
use serde::Deserialize;
use serde_json::Value;

use crate::failure::{bad_input, Failure, Outcome};
use crate::tasks::{give, is_cache_file, names_in, path, read};
use crate::wire::{raw_pieces, sector_size, Bytes, PieceInfo, SectorPaths, SectorRef};
use crate::{disk, parents, partial};

/// Lotus's own member in the output: the ticket, which PreCommit2 of a synthetic proof needs.
pub const RANDOMNESS: &str = "_lotus_SealRandomness";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    sector: SectorRef,
    paths: SectorPaths,
    ticket: Bytes,
    pieces: Vec<PieceInfo>,
}

pub fn run(request: Value, output: Option<PathBuf>) -> Outcome<Value> {
    let request: Request = read(request)?;
    let proof = request.sector.proof()?;
    let size = sector_size(proof);
    let ticket = request.ticket.randomness("Ticket")?;
    let pieces = raw_pieces(&request.pieces, proof)?;
    let unsealed = path("Unsealed", request.paths.unsealed.as_ref())?;
    let sealed = path("Sealed", request.paths.sealed.as_ref())?;
    let cache = path("Cache", request.paths.cache.as_ref())?;
    disk::check_sector_file("Paths.Sealed", &sealed)?;
    partial::check_whole(&unsealed, size)?;

    empty(&cache)?;
    File::create(&sealed).map_err(|why| Failure::of_io(sealed.display(), &why))?;
    // The tree over the data is twice the data; each layer is as large as the sector.
    disk::need(&[(&sealed, size), (&cache, size * (2 + layers(proof)))])?;
    parents::ensure(proof)?;

    let (prover, number) = (request.sector.prover(), request.sector.number());
    let done = seal_pre_commit_phase1(proof, &cache, &unsealed, &sealed, prover, number, ticket, &pieces);
    let done = done.map_err(|why| Failure::of_library("precommit1", &why))?;
    give("PreCommit1Out", to_json(&done, request.ticket), output)
}

fn to_json(done: &SealPreCommitPhase1Output, ticket: Bytes) -> Vec<u8> {
    let mut value = serde_json::to_value(done).expect("the library's own type");
    let ticket = serde_json::to_value(ticket).expect("plain data");
    value.as_object_mut().expect("a struct").insert(RANDOMNESS.into(), ticket);
    value.to_string().into_bytes()
}

/// SDR layers (`LAYERS` of filecoin-proofs): eleven for the sizes of the main network, two for tests.
fn layers(proof: RegisteredSealProof) -> u64 {
    if sector_size(proof) >= 32 << 30 {
        11
    } else {
        2
    }
}

/// An empty cache folder, claimed. One that holds anything that sealing never wrote is not touched: it is no cache.
fn empty(cache: &Path) -> Outcome<()> {
    match fs::create_dir(cache) {
        Err(why) if why.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::of_io(cache.display(), &why));
        }
        _ => disk::claim_folder(cache, libc::LOCK_EX)?,
    }
    let names = names_in(cache)?;
    if let Some(strange) = names.iter().find(|name| !is_cache_file(name)) {
        return bad_input(format!("Paths.Cache {}: holds {strange}, which is no cache file", cache.display()));
    }
    for name in names.iter().filter(|name| !name.starts_with(".nfs")) {
        disk::remove_if_there(&cache.join(name))?;
    }
    Ok(())
}
