//! Commitments as CIDs: version 1, one of two codecs, 32 bytes (go-fil-commcid).

use data_encoding::BASE32_NOPAD;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CommD and pieces: `fil-commitment-unsealed`, `sha2-256-trunc254-padded`.
    Unsealed,
    /// CommR: `fil-commitment-sealed`, `poseidon-bls12_381-a2-fc1`.
    Sealed,
}

impl Kind {
    /// Version, codec, hash and length as unsigned varints.
    fn prefix(self) -> &'static [u8] {
        match self {
            Kind::Unsealed => &[0x01, 0x81, 0xe2, 0x03, 0x92, 0x20, 0x20],
            Kind::Sealed => &[0x01, 0x82, 0xe2, 0x03, 0x81, 0xe8, 0x02, 0x20],
        }
    }

    fn example(self) -> &'static str {
        match self {
            Kind::Unsealed => "an unsealed commitment (baga6ea4seaq…)",
            Kind::Sealed => "a sealed commitment (bagboea4b5abc…)",
        }
    }
}

/// The text of a commitment's CID (base 32, lower case).
pub fn to_text(kind: Kind, commitment: &[u8; 32]) -> String {
    let bytes = [kind.prefix(), commitment].concat();
    format!("b{}", BASE32_NOPAD.encode(&bytes).to_lowercase())
}

/// The commitment in a CID's text; the error says what is wrong with it.
pub fn from_text(kind: Kind, text: &str) -> Result<[u8; 32], String> {
    let wrong = || format!("not {}", kind.example());
    let body = text.strip_prefix('b').ok_or_else(wrong)?;
    if body.bytes().any(|letter| letter.is_ascii_uppercase()) {
        return Err(wrong());
    }
    let bytes = BASE32_NOPAD.decode(body.to_uppercase().as_bytes()).map_err(|_| wrong())?;
    bytes.strip_prefix(kind.prefix()).and_then(|rest| rest.try_into().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cid_of_an_empty_2kib_sector() {
        let text = "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy";
        let commitment = from_text(Kind::Unsealed, text).unwrap();
        assert_eq!(commitment[..4], [0xfc, 0x7e, 0x92, 0x82]);
        assert_eq!(to_text(Kind::Unsealed, &commitment), text);
    }

    #[test]
    fn a_cid_of_the_other_kind_is_refused() {
        let sealed = to_text(Kind::Sealed, &[7; 32]);
        assert!(sealed.starts_with("bagboea4b5abc"));
        assert!(from_text(Kind::Unsealed, &sealed).is_err());
        assert_eq!(from_text(Kind::Sealed, &sealed), Ok([7; 32]));
        assert!(from_text(Kind::Sealed, "").is_err());
    }
}
