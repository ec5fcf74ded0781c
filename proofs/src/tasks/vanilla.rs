//! The vanilla proof of one sector for a PoSt: what a miner collects from its stores before it makes a SNARK of them.

use filecoin_proofs_api::post::generate_single_vanilla_proof;
use filecoin_proofs_api::{PrivateReplicaInfo, RegisteredPoStProof};
use serde::Deserialize;
use serde_json::{json, Value};

use crate::cid::Kind;
use crate::disk;
use crate::failure::{bad_input, Failure, Outcome};
use crate::tasks::{existing_folder, existing_replica, read};
use crate::wire::{sector_size, Bytes, Link, SectorPaths, SectorRef};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    /// With the proof type of the seal.
    sector: SectorRef,
    /// Of a sector with data that came later: its update, and the update's cache.
    paths: SectorPaths,
    /// The PoSt's.
    proof_type: i64,
    #[serde(rename = "SealedCID")]
    sealed_cid: Link,
    challenge: Vec<u64>,
}

pub fn run(request: Value) -> Outcome<Value> {
    let request: Request = read(request)?;
    let size = sector_size(request.sector.proof()?);
    let proof = post_proof(request.proof_type)?;
    if u64::from(proof.sector_size()) != size {
        return bad_input(format!("ProofType {}: not for sectors of {size} bytes", request.proof_type));
    }
    if request.challenge.is_empty() {
        return bad_input("Challenge: there is none");
    }
    let comm_r = request.sealed_cid.commitment(Kind::Sealed, "SealedCID")?;
    let cache = existing_folder("Cache", request.paths.cache.as_ref())?;
    disk::claim_folder(&cache, libc::LOCK_SH)?;
    let sealed = existing_replica(request.paths.sealed.as_ref(), size)?;
    let replica = PrivateReplicaInfo::new(proof, comm_r, cache, sealed);
    let done = generate_single_vanilla_proof(proof, request.sector.number(), &replica, &request.challenge)
        .map_err(|why| Failure::of_library("vanilla", &why))?;
    Ok(json!({"Proof": Bytes(done)}))
}

/// The PoSt proof of a number in go-state-types `abi/sector.go`.
fn post_proof(number: i64) -> Outcome<RegisteredPoStProof> {
    use RegisteredPoStProof::*;
    const PROOFS: [RegisteredPoStProof; 15] = [
        StackedDrgWinning2KiBV1,
        StackedDrgWinning8MiBV1,
        StackedDrgWinning512MiBV1,
        StackedDrgWinning32GiBV1,
        StackedDrgWinning64GiBV1,
        StackedDrgWindow2KiBV1,
        StackedDrgWindow8MiBV1,
        StackedDrgWindow512MiBV1,
        StackedDrgWindow32GiBV1,
        StackedDrgWindow64GiBV1,
        StackedDrgWindow2KiBV1_2,
        StackedDrgWindow8MiBV1_2,
        StackedDrgWindow512MiBV1_2,
        StackedDrgWindow32GiBV1_2,
        StackedDrgWindow64GiBV1_2,
    ];
    match usize::try_from(number).ok().and_then(|index| PROOFS.get(index)) {
        Some(proof) => Ok(*proof),
        None => bad_input(format!("ProofType {number}: no PoSt proof has this number")),
    }
}
