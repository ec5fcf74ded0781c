//! Commit1 and Commit2: the proof of a seed, first in the clear, then as a SNARK.

use std::path::PathBuf;

use filecoin_proofs_api::seal::{
    seal_commit_phase1, seal_commit_phase2, SealCommitPhase1Output, SealPreCommitPhase2Output,
};
use serde::Deserialize;
use serde_json::{json, Value};

use crate::cid::Kind;
use crate::disk;
use crate::failure::{Failure, Outcome};
use crate::params;
use crate::tasks::{existing_folder, existing_replica, give, not_the_librarys, phase_output, read, same_proof};
use crate::wire::{raw_pieces, sector_size, Bytes, PieceInfo, SectorCids, SectorPaths, SectorRef};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct One {
    sector: SectorRef,
    paths: SectorPaths,
    ticket: Bytes,
    seed: Bytes,
    pieces: Vec<PieceInfo>,
    cids: SectorCids,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Two {
    sector: SectorRef,
    #[serde(default)]
    commit1_out: Bytes,
    commit1_out_file: Option<PathBuf>,
}

pub fn one(request: Value, output: Option<PathBuf>) -> Outcome<Value> {
    let request: One = read(request)?;
    let proof = request.sector.proof()?;
    let ticket = request.ticket.randomness("Ticket")?;
    let seed = request.seed.randomness("Seed")?;
    let pieces = raw_pieces(&request.pieces, proof)?;
    let phase2 = SealPreCommitPhase2Output {
        registered_proof: proof,
        comm_r: request.cids.sealed.commitment(Kind::Sealed, "Cids.Sealed")?,
        comm_d: request.cids.unsealed.commitment(Kind::Unsealed, "Cids.Unsealed")?,
    };
    let cache = existing_folder("Cache", request.paths.cache.as_ref())?;
    disk::claim_folder(&cache, libc::LOCK_SH)?;
    let sealed = existing_replica(request.paths.sealed.as_ref(), sector_size(proof))?;
    let (prover, number) = (request.sector.prover(), request.sector.number());
    let done = seal_commit_phase1(cache, sealed, prover, number, ticket, seed, phase2, &pieces)
        .map_err(|why| Failure::of_library("commit1", &why))?;
    give("Commit1Out", serde_json::to_vec(&done).expect("the library's own type"), output)
}

pub fn two(request: Value) -> Outcome<Value> {
    let request: Two = read(request)?;
    let proof = request.sector.proof()?;
    let bytes = phase_output("Commit1Out", request.commit1_out, request.commit1_out_file)?;
    let phase1: SealCommitPhase1Output =
        serde_json::from_slice(&bytes).or_else(|why| not_the_librarys("Commit1Out", &why))?;
    same_proof("Commit1Out", phase1.registered_proof, proof)?;
    drop(bytes);
    params::check_parameters(proof)?;
    let done = seal_commit_phase2(phase1, request.sector.prover(), request.sector.number())
        .map_err(|why| Failure::of_library("commit2", &why))?;
    Ok(json!({"Proof": Bytes(done.proof)}))
}
