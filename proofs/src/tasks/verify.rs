//! Verify a seal proof (go-state-types `proof.SealVerifyInfo`).

use filecoin_proofs_api::seal::verify_seal;
use serde::Deserialize;
use serde_json::{json, Value};

use crate::cid::Kind;
use crate::failure::{Code, Failure, Outcome};
use crate::params;
use crate::tasks::read;
use crate::wire::{prover_id, seal_proof, Bytes, Link, SectorID};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    seal_proof: i64,
    #[serde(rename = "SectorID")]
    sector_id: SectorID,
    /// The ticket.
    randomness: Bytes,
    /// The seed.
    interactive_randomness: Bytes,
    proof: Bytes,
    #[serde(rename = "SealedCID")]
    sealed_cid: Link,
    #[serde(rename = "UnsealedCID")]
    unsealed_cid: Link,
    /// Part of Lotus's struct; says nothing about the proof.
    #[serde(rename = "DealIDs", default)]
    _deal_ids: Value,
}

pub fn run(request: Value) -> Outcome<Value> {
    let request: Request = read(request)?;
    let proof = seal_proof(request.seal_proof)?;
    let comm_r = request.sealed_cid.commitment(Kind::Sealed, "SealedCID")?;
    let comm_d = request.unsealed_cid.commitment(Kind::Unsealed, "UnsealedCID")?;
    let ticket = request.randomness.randomness("Randomness")?;
    let seed = request.interactive_randomness.randomness("InteractiveRandomness")?;
    params::check_key(proof)?;
    let invalid = |why: String| Err(Failure::new(Code::InvalidProof, why));
    let prover = prover_id(request.sector_id.miner);
    let number = request.sector_id.number.into();
    match verify_seal(proof, comm_r, comm_d, prover, number, ticket, seed, &request.proof.0) {
        Ok(true) => Ok(json!({"Valid": true})),
        Ok(false) => invalid("the proof does not hold for this sector, ticket and seed".into()),
        // The key is there and whole, so what is left to fail is the proof: bytes that are no points, a wrong length.
        Err(why) => {
            let failure = Failure::of_library("the proof cannot be read", &why);
            match failure.code {
                Code::Failed => invalid(failure.message),
                _ => Err(failure),
            }
        }
    }
}
