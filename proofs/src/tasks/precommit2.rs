//! PreCommit2: encode the replica, build its trees.
//!
//! The library encodes the sealed file in place. Done twice, or after a first time that was killed, it gives a
//! wrong CommR without a word. So a marker goes into the cache folder before anything is encoded, and stays:
//! it tells a repetition of finished work (answered from it) from one on a replica that is spoilt (refused).

use std::fs;
use std::path::{Path, PathBuf};

use filecoin_proofs_api::seal::{
    generate_synth_proofs, seal_commit_phase1, seal_pre_commit_phase2, SealPreCommitPhase1Output,
    SealPreCommitPhase2Output,
};
use filecoin_proofs_api::{ApiFeature, Commitment, PieceInfo, Ticket, UnpaddedBytesAmount};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use sha2::{Digest, Sha256};

use crate::cid::Kind;
use crate::failure::{bad_input, Code, Failure, Outcome};
use crate::process::shown;
use crate::tasks::precommit1::RANDOMNESS;
use crate::tasks::{existing_folder, existing_replica, names_in, not_the_librarys, phase_output, read, same_proof};
use crate::wire::{sector_size, unpadded, Bytes, Link, SectorCids, SectorPaths, SectorRef};
use crate::{disk, logging};

pub const MARKER: &str = "lotus-proofs-pc2.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    sector: SectorRef,
    paths: SectorPaths,
    #[serde(default)]
    pre_commit1_out: Bytes,
    pre_commit1_out_file: Option<PathBuf>,
    /// How many random seeds the new replica must stand at once, as Lotus tries it; 0 to trust it.
    #[serde(default = "one")]
    check_rounds: u32,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Marker {
    /// SHA-256 of what PreCommit1 put out.
    pre_commit1_out: String,
    /// None while the work is under way, or was broken off.
    cids: Option<SectorCids>,
}

pub fn run(request: Value) -> Outcome<Value> {
    let request: Request = read(request)?;
    let proof = request.sector.proof()?;
    let size = sector_size(proof);
    let bytes = phase_output("PreCommit1Out", request.pre_commit1_out, request.pre_commit1_out_file)?;
    let phase1: SealPreCommitPhase1Output =
        serde_json::from_slice(&bytes).or_else(|why| not_the_librarys("PreCommit1Out", &why))?;
    same_proof("PreCommit1Out", phase1.registered_proof, proof)?;
    let ticket = ticket_in(&bytes)?;
    let synthetic = proof.feature_enabled(ApiFeature::SyntheticPoRep);
    if synthetic && ticket.is_none() {
        return bad_input(format!("PreCommit1Out lacks {RANDOMNESS}, which a synthetic proof needs"));
    }
    let cache = existing_folder("Cache", request.paths.cache.as_ref())?;
    disk::claim_folder(&cache, libc::LOCK_EX)?;
    let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if let Some(cids) = done_before(&cache, &digest)? {
        logging::info("this was done before; giving its result again", json!({"cache": shown(&cache)}));
        return Ok(serde_json::to_value(cids).expect("plain data"));
    }
    let sealed = existing_replica(request.paths.sealed.as_ref(), size)?;
    // The tree over the columns is the sector's size and a seventh; the replica's tree keeps its upper rows.
    disk::need(&[(&cache, size + size / 4)])?;

    let mut marker = Marker { pre_commit1_out: digest, cids: None };
    write(&cache, &marker)?;
    let done =
        seal_pre_commit_phase2(phase1, &cache, &sealed).map_err(|why| Failure::of_library("precommit2", &why))?;
    let replica = Replica { sector: request.sector, cache: &cache, sealed: &sealed, done: &done };
    if let Some(ticket) = ticket {
        if synthetic {
            replica.write_synthetic(ticket)?;
        }
        for _ in 0..request.check_rounds {
            replica.try_seed(ticket)?;
        }
    }
    let cids =
        SectorCids { unsealed: Link::new(Kind::Unsealed, &done.comm_d), sealed: Link::new(Kind::Sealed, &done.comm_r) };
    marker.cids = Some(cids.clone());
    write(&cache, &marker)?;
    Ok(serde_json::to_value(cids).expect("plain data"))
}

/// The result of an earlier run with the same input, or nothing if there was none, or a refusal.
fn done_before(cache: &Path, digest: &str) -> Outcome<Option<SectorCids>> {
    let refuse = |why: &str| {
        let message = format!("{}: {why}; the sector must go back to precommit1", cache.display());
        Err(Failure::new(Code::ReplicaTouched, message))
    };
    let finished = cache.join("p_aux").exists() && cache.join("t_aux").exists();
    if let Ok(text) = fs::read(cache.join(MARKER)) {
        return match serde_json::from_slice::<Marker>(&text) {
            Ok(Marker { pre_commit1_out, cids: Some(cids) }) if finished && pre_commit1_out == digest => Ok(Some(cids)),
            Ok(Marker { cids: Some(_), .. }) => refuse("precommit2 has run here with other input"),
            _ => refuse("an earlier precommit2 was broken off here and the replica may be half encoded"),
        };
    }
    // Somebody else's work leaves no marker, but these are made only while the replica is encoded or after.
    let trees = names_in(cache)?.iter().any(|name| name.starts_with("sc-02-data-tree-r-last"));
    if trees || cache.join("p_aux").exists() {
        return refuse("another program's precommit2 has run here");
    }
    Ok(None)
}

fn write(cache: &Path, marker: &Marker) -> Outcome<()> {
    disk::write_whole(&cache.join(MARKER), &serde_json::to_vec(marker).expect("plain data"))
}

fn ticket_in(bytes: &[u8]) -> Outcome<Option<Ticket>> {
    #[derive(Deserialize)]
    struct Extra {
        #[serde(rename = "_lotus_SealRandomness")]
        ticket: Option<Bytes>,
    }
    let extra: Extra = serde_json::from_slice(bytes).or_else(|why| not_the_librarys("PreCommit1Out", &why))?;
    extra.ticket.map(|ticket| ticket.randomness(RANDOMNESS)).transpose()
}

struct Replica<'a> {
    sector: SectorRef,
    cache: &'a Path,
    sealed: &'a Path,
    done: &'a SealPreCommitPhase2Output,
}

impl Replica<'_> {
    /// One piece over the whole sector; its commitment is CommD.
    fn pieces(&self) -> Outcome<Vec<PieceInfo>> {
        let size = UnpaddedBytesAmount(unpadded(sector_size(self.done.registered_proof)));
        let piece = PieceInfo::new(self.done.comm_d, size);
        Ok(vec![piece.map_err(|why| Failure::of_library("precommit2", &why))?])
    }

    fn write_synthetic(&self, ticket: Ticket) -> Outcome<()> {
        let (prover, number, pieces) = (self.sector.prover(), self.sector.number(), self.pieces()?);
        generate_synth_proofs(self.cache, self.sealed, prover, number, ticket, self.done.clone(), &pieces)
            .map_err(|why| Failure::of_library("synthetic proofs", &why))
    }

    /// Proves the replica for a random seed: a broken processor or disk shows here instead of on the chain.
    fn try_seed(&self, ticket: Ticket) -> Outcome<()> {
        let seed: Commitment = rand::random();
        let (prover, number, pieces) = (self.sector.prover(), self.sector.number(), self.pieces()?);
        seal_commit_phase1(self.cache, self.sealed, prover, number, ticket, seed, self.done.clone(), &pieces)
            .map(drop)
            .map_err(|why| Failure::of_library("the new replica does not stand its trial", &why))
    }
}
