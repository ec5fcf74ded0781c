//! Lotus's JSON types, as far as sealing needs them (Lotus `storage/sealer/storiface`, go-state-types).

use std::path::PathBuf;

use data_encoding::BASE64;
use filecoin_proofs_api::{PieceInfo as RawPiece, ProverId, RegisteredSealProof, SectorId, UnpaddedBytesAmount};
use serde::{de, Deserialize, Deserializer, Serialize, Serializer};

use crate::cid::{self, Kind};
use crate::failure::{bad_input, Outcome};

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SectorID {
    pub miner: u64,
    pub number: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SectorRef {
    #[serde(rename = "ID")]
    pub id: SectorID,
    pub proof_type: i64,
}

/// Size in padded bytes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PieceInfo {
    pub size: u64,
    #[serde(rename = "PieceCID")]
    pub piece_cid: Link,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct SectorCids {
    pub unsealed: Link,
    pub sealed: Link,
}

/// Where the sector's files are. Members of Lotus's struct that no task here uses are skipped.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SectorPaths {
    pub unsealed: Option<PathBuf>,
    pub sealed: Option<PathBuf>,
    pub cache: Option<PathBuf>,
}

/// A CID as Go writes it: `{"/":"baga…"}`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Link {
    #[serde(rename = "/")]
    pub text: String,
}

impl Link {
    pub fn new(kind: Kind, commitment: &[u8; 32]) -> Self {
        Link { text: cid::to_text(kind, commitment) }
    }

    /// The 32 bytes inside; `what` names the field in the error.
    pub fn commitment(&self, kind: Kind, what: &str) -> Outcome<[u8; 32]> {
        cid::from_text(kind, &self.text).or_else(|why| bad_input(format!("{what} {:?}: {why}", self.text)))
    }
}

/// Go's `[]byte`: standard base64 with padding; null is empty.
#[derive(Clone, Debug, Default)]
pub struct Bytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        BASE64.decode(text.as_bytes()).map(Bytes).map_err(|why| de::Error::custom(format!("not base64: {why}")))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl Bytes {
    /// A ticket or a seed.
    pub fn randomness(&self, what: &str) -> Outcome<[u8; 32]> {
        self.0.as_slice().try_into().or_else(|_| bad_input(format!("{what} has {} bytes, not 32", self.0.len())))
    }
}

impl SectorRef {
    pub fn proof(&self) -> Outcome<RegisteredSealProof> {
        seal_proof(self.proof_type)
    }

    pub fn number(&self) -> SectorId {
        SectorId::from(self.id.number)
    }

    pub fn prover(&self) -> ProverId {
        prover_id(self.id.miner)
    }
}

/// The payload of the miner's ID address (LEB128), filled up with zeros.
pub fn prover_id(miner: u64) -> ProverId {
    let mut id = [0; 32];
    let (mut rest, mut at) = (miner, 0);
    loop {
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        id[at] = if rest == 0 { low } else { low | 0x80 };
        at += 1;
        if rest == 0 {
            return id;
        }
    }
}

/// The seal proof of a number in go-state-types `abi/sector.go`.
pub fn seal_proof(number: i64) -> Outcome<RegisteredSealProof> {
    use RegisteredSealProof::*;
    const PROOFS: [RegisteredSealProof; 15] = [
        StackedDrg2KiBV1,
        StackedDrg8MiBV1,
        StackedDrg512MiBV1,
        StackedDrg32GiBV1,
        StackedDrg64GiBV1,
        StackedDrg2KiBV1_1,
        StackedDrg8MiBV1_1,
        StackedDrg512MiBV1_1,
        StackedDrg32GiBV1_1,
        StackedDrg64GiBV1_1,
        StackedDrg2KiBV1_1_Feat_SyntheticPoRep,
        StackedDrg8MiBV1_1_Feat_SyntheticPoRep,
        StackedDrg512MiBV1_1_Feat_SyntheticPoRep,
        StackedDrg32GiBV1_1_Feat_SyntheticPoRep,
        StackedDrg64GiBV1_1_Feat_SyntheticPoRep,
    ];
    match usize::try_from(number) {
        Ok(index) if index < PROOFS.len() => Ok(PROOFS[index]),
        Ok(15..=19) => bad_input(format!("ProofType {number} is non-interactive PoRep, which is not sealed here")),
        _ => bad_input(format!("ProofType {number}: no seal proof has this number")),
    }
}

pub fn sector_size(proof: RegisteredSealProof) -> u64 {
    u64::from(proof.sector_size())
}

/// Bytes of data in a padded size: 127 of each 128.
pub fn unpadded(padded: u64) -> u64 {
    padded / 128 * 127
}

pub fn padded(unpadded: u64) -> u64 {
    unpadded / 127 * 128
}

/// The pieces as the library wants them, which must fill the sector.
pub fn raw_pieces(pieces: &[PieceInfo], proof: RegisteredSealProof) -> Outcome<Vec<RawPiece>> {
    let total = pieces.iter().fold(0u64, |sum, piece| sum.saturating_add(piece.size));
    if total != sector_size(proof) {
        return bad_input(format!("Pieces: {total} padded bytes, the sector has {}", sector_size(proof)));
    }
    pieces
        .iter()
        .map(|piece| {
            if !piece.size.is_power_of_two() || piece.size < 128 {
                return bad_input(format!("Pieces: size {} is no power of two from 128 on", piece.size));
            }
            let commitment = piece.piece_cid.commitment(Kind::Unsealed, "PieceCID")?;
            let size = UnpaddedBytesAmount(unpadded(piece.size));
            RawPiece::new(commitment, size).or_else(|why| bad_input(format!("Pieces: {why}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prover_id_is_the_address_payload() {
        assert_eq!(prover_id(1000)[..3], [0xe8, 0x07, 0x00]);
        assert_eq!(prover_id(0), [0; 32]);
        assert_eq!(prover_id(u64::MAX)[..10], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn sizes_in_both_countings() {
        assert_eq!((unpadded(2048), padded(2032)), (2032, 2048));
    }
}
