//! Signed notes: what a checkpoint is outside the log.
//!
//! The envelope is a C2SP signed note (<https://c2sp.org/signed-note>), the text has the shape of a checkpoint there,
//! and its third line is the hash of the log's last line, not the root of a Merkle tree; `inst/audit/FORMAT.md` says
//! why.

use std::fmt::Write as _;

use ring::digest;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::verify::AnchorState;
use crate::base64::{base64, from_base64};
use crate::hex::{from_hex, hex};

/// The fourth line of a note: what the third one is.
const WHAT: &str = "keycap chain-head sha256";

/// What begins a signature line.
const DASH: &str = "\u{2014} ";

/// The type of signature in the C2SP's list: Ed25519.
const TYPE: u8 = 1;

/// More signatures of one note are not looked at: what stands in an anchor may come from anybody.
const SIGNATURES: usize = 16;

/// What a note says of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Which log: the stem of its files' names.
    pub(super) origin: String,
    /// The number of its entries.
    pub(super) size: u64,
    /// The SHA-256 of the line of the last of them, in hexadecimal characters.
    pub(super) hash: String,
    /// When it was signed, by the machine's clock.
    pub(super) time: String,
    /// A key that is to be taken for the log's from here on.
    pub(super) key: Option<VerifierKey>,
}

/// A note with its signatures, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) note: Note,
    /// The text that is signed.
    text: String,
    /// The note as it was found.
    pub(super) whole: String,
    /// Name, key id and signature of each.
    signatures: Vec<(String, [u8; 4], Vec<u8>)>,
}

/// The public half of a signing key: `<name>+<key id>+<key>` as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// The key of a log, by its name and its 32 bytes.
    pub(super) fn new(name: &str, public: [u8; 32]) -> Self {
        Self { name: name.to_owned(), public }
    }

    /// Reads the text of a key. `None`: it is none, or its id is not that of the key.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim_end().splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, from_base64(parts.next()?)?);
        let (kind, public) = key.split_first()?;
        let key = Self { name: name.to_owned(), public: public.try_into().ok()? };
        (*kind == TYPE && is_name(name) && key.id_text() == id).then_some(key)
    }

    /// The keys in a file `….pub`: one a line, beside which the same key may stand as PEM.
    pub fn parse_all(text: &str) -> Vec<Self> {
        let mut keys = Vec::new();
        for key in text.lines().filter_map(Self::parse) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// The first four bytes of the SHA-256 of name and key.
    fn id(&self) -> [u8; 4] {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(self.name.as_bytes());
        hash.update(&[b'\n', TYPE]);
        hash.update(&self.public);
        let hash = hash.finish();
        let mut id = [0; 4];
        id.copy_from_slice(&hash.as_ref()[..4]);
        id
    }

    /// The id in hexadecimal characters.
    pub fn id_text(&self) -> String {
        hex(&self.id())
    }

    /// The key as PEM, for `openssl`.
    pub(super) fn pem(&self) -> String {
        // SubjectPublicKeyInfo of an Ed25519 key: all but the key is the same in each.
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend_from_slice(&self.public);
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64(&der))
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut key = vec![TYPE];
        key.extend_from_slice(&self.public);
        write!(f, "{}+{}+{}", self.name, self.id_text(), base64(&key))
    }
}

/// A key that signs, under a log's name.
pub(super) struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    /// From the 32 bytes that are kept. `None`: they are not 32.
    pub(super) fn new(name: &str, seed: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(|pair| Self { name: name.to_owned(), pair })
    }

    pub(super) fn public(&self) -> VerifierKey {
        let mut public = [0; 32];
        public.copy_from_slice(self.pair.public_key().as_ref());
        VerifierKey::new(&self.name, public)
    }

    fn line(&self, text: &str) -> String {
        let mut signature = self.public().id().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{DASH}{} {}\n", self.name, base64(&signature))
    }
}

impl Note {
    /// The note with its signatures.
    pub(super) fn sign(&self, signers: &[&Signer]) -> String {
        let text = self.text();
        let lines: String = signers.iter().map(|signer| signer.line(&text)).collect();
        format!("{text}\n{lines}")
    }

    fn text(&self) -> String {
        let hash = base64(&from_hex(self.hash.as_bytes()).unwrap_or_default());
        let mut text = format!("{}\n{}\n{hash}\n{WHAT}\ntime {}\n", self.origin, self.size, self.time);
        if let Some(key) = &self.key {
            let _ = writeln!(text, "key {key}");
        }
        text
    }

    /// Reads a text. Only what [`Note::text`] would have written is one.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next().filter(|name| is_name(name))?.to_owned();
        let size = lines.next()?.parse().ok()?;
        let hash = from_base64(lines.next()?).filter(|hash| hash.len() == 32)?;
        let what = lines.next()?;
        let time = lines.next()?.strip_prefix("time ")?.to_owned();
        let key = match lines.next() {
            Some(line) => Some(VerifierKey::parse(line.strip_prefix("key ")?)?),
            None => None,
        };
        let note = Self { origin, size, hash: hex(&hash), time, key };
        (what == WHAT && note.text() == text).then_some(note)
    }
}

impl Signed {
    /// All notes in a text, in their order. Each is found by its fourth line; whatever else stands in the text is passed
    /// over.
    pub(super) fn parse_all(text: &str) -> Vec<Self> {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let fourth = |line: &&str| line.strip_suffix('\n') == Some(WHAT);
        let starts = lines.iter().enumerate().skip(3).filter(|(_, line)| fourth(line)).map(|(at, _)| at - 3);
        starts.filter_map(|start| Self::parse(&lines[start..])).collect()
    }

    /// The note that some lines begin with.
    fn parse(lines: &[&str]) -> Option<Self> {
        let blank = lines.iter().take(7).position(|line| *line == "\n")?;
        let text = lines[..blank].concat();
        let note = Note::parse(&text)?;
        let signed = lines[blank + 1..].iter().take(SIGNATURES).take_while(|line| line.starts_with(DASH));
        let signed: Vec<&str> = signed.copied().collect();
        let signatures: Vec<_> = signed.iter().filter_map(|line| signature(line)).collect();
        let whole = format!("{text}\n{}", signed.concat());
        (!signatures.is_empty()).then_some(Self { note, text, whole, signatures })
    }

    /// Whether one of the keys has signed it. A signature under the name and id of a known key that is wrong makes the
    /// whole note worth nothing.
    pub(super) fn is_by(&self, keys: &[VerifierKey]) -> bool {
        let mut right = false;
        for (name, id, signature) in &self.signatures {
            for key in keys.iter().filter(|key| key.name == *name && key.id() == *id) {
                let public = UnparsedPublicKey::new(&ED25519, key.public);
                if public.verify(self.text.as_bytes(), signature).is_err() {
                    return false;
                }
                right = true;
            }
        }
        right
    }
}

fn signature(line: &str) -> Option<(String, [u8; 4], Vec<u8>)> {
    let (name, rest) = line.strip_suffix('\n')?.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = from_base64(rest)?;
    let (id, signature) = bytes.split_at_checked(4)?;
    Some((name.to_owned(), id.try_into().ok()?, signature.to_vec()))
}

/// A name as notes have it: no blank, no plus, nothing that steers a terminal.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"@._-/".contains(&b))
}

/// What some notes say, in their order, and whether a known key has signed it. A note that a known key has signed may
/// name a further key.
///
/// What nobody known has signed anchors nothing; where it contradicts the log, that is an alarm all the same, or a new
/// key beside a log that was written anew would silence its anchors.
pub fn anchored(notes: &str, keys: &[VerifierKey]) -> Vec<(AnchorState, bool)> {
    let mut keys = keys.to_vec();
    let mut states = Vec::new();
    for signed in Signed::parse_all(notes) {
        let is_known = signed.is_by(&keys);
        let Note { origin, size, hash, key, .. } = signed.note;
        if let Some(key) = key.filter(|key| is_known && !keys.contains(key)) {
            keys.push(key);
        }
        let state = (AnchorState { origin, entries: size, hash }, is_known);
        if !states.contains(&state) {
            states.push(state);
        }
    }
    states
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NAME: &str = "audit-1000@db01";

    fn signer(seed: u8) -> Signer {
        Signer::new(NAME, &[seed; 32]).unwrap()
    }

    fn note(size: u64) -> Note {
        Note {
            origin: NAME.to_owned(),
            size,
            hash: "0123456789abcdef".repeat(4),
            time: "2025-11-21T23:56:06.123456Z".to_owned(),
            key: None,
        }
    }

    /// Key and signature were made by the reference implementation's own test (RFC 8032, test 1) and by OpenSSL 3.
    #[test]
    fn the_key_and_the_signature_of_the_rfc_come_out() {
        let seed = from_hex(b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let signer = Signer::new(NAME, &seed).unwrap();
        assert_eq!(hex(&signer.public().public), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    }

    #[test]
    fn a_note_has_the_documented_lines() {
        let signer = signer(7);
        let text = note(1234).sign(&[&signer]);
        let lines: Vec<_> = text.split('\n').collect();
        assert_eq!(
            lines[..6],
            [
                NAME,
                "1234",
                "ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8=",
                "keycap chain-head sha256",
                "time 2025-11-21T23:56:06.123456Z",
                ""
            ]
        );
        assert!(lines[6].starts_with("\u{2014} audit-1000@db01 "));
        assert_eq!(lines[7..], [""]);
    }

    #[test]
    fn a_note_is_known_by_its_key_alone_and_every_flipped_bit_is_found() {
        let signer = signer(7);
        let keys = [signer.public()];
        let text = note(3).sign(&[&signer]);
        let good = anchored(&text, &keys);
        assert_eq!(good.len(), 1);
        assert!(good[0].1 && good[0].0.entries == 3 && good[0].0.origin == NAME);
        assert!(!anchored(&text, &[self::signer(8).public()])[0].1);
        let mut bytes = text.clone().into_bytes();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                let states = std::str::from_utf8(&bytes).map(|text| anchored(text, &keys)).unwrap_or_default();
                assert!(states.iter().all(|(_, signed)| !signed), "byte {at} bit {bit}");
                bytes[at] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn many_notes_stand_in_one_text_with_lines_of_others_in_between() {
        let signer = signer(7);
        let keys = [signer.public()];
        let (one, two) = (note(3).sign(&[&signer]), note(5).sign(&[&signer]));
        let sizes =
            |text: &str| anchored(text, &keys).iter().map(|(s, signed)| (s.entries, *signed)).collect::<Vec<_>>();
        assert_eq!(sizes(&format!("{one}{two}")), [(3, true), (5, true)]);
        assert_eq!(sizes(&format!("{one}\n\n{two}\n")), [(3, true), (5, true)]);
        assert_eq!(sizes(&format!("# a remark\n{one}\nanother\n{two}")), [(3, true), (5, true)]);
        assert_eq!(sizes(&format!("{one}{one}{two}")), [(3, true), (5, true)]);
        // Half a note before a whole one.
        assert_eq!(sizes(&format!("{}\n{two}", &one[..40])), [(5, true)]);
        assert_eq!(sizes(&format!("{}\n{two}", &one[..one.len() - 20])), [(5, true)]);
        assert_eq!(sizes("nothing of the kind\n"), []);
        assert_eq!(sizes(""), []);
    }

    #[test]
    fn a_note_by_the_old_key_brings_in_the_new_one_and_no_other_note_does() {
        let (old, new) = (signer(7), signer(8));
        let keys = [old.public()];
        let change = Note { key: Some(new.public()), ..note(4) };
        let later = note(6).sign(&[&new]);
        let signed = |first: String| anchored(&format!("{first}{later}"), &keys).pop().unwrap().1;
        assert!(signed(change.sign(&[&old, &new])));
        assert!(!signed(change.sign(&[&new])), "a key vouches for itself");
        assert!(!signed(note(4).sign(&[&old])));
    }

    #[test]
    fn a_wrong_signature_of_a_known_key_makes_the_note_worth_nothing() {
        let (one, other) = (signer(7), signer(8));
        let text = note(3).sign(&[&one, &other]);
        let false_line = other.line("another text\n");
        let (head, _) = text.rsplit_once(DASH).unwrap();
        let text = format!("{head}{false_line}");
        assert!(!anchored(&text, &[one.public(), other.public()])[0].1);
        assert!(anchored(&text, &[one.public()])[0].1, "signatures of unknown keys are passed over");
    }

    #[test]
    fn a_key_has_one_text() {
        let key = signer(7).public();
        let text = key.to_string();
        assert_eq!(VerifierKey::parse(&text), Some(key.clone()));
        assert_eq!(VerifierKey::parse_all(&format!("{text}\n{}{text}\n", key.pem())), [key]);
        for bad in ["", "x", "a b+00000000+AQ==", &text.replace("audit", "other"), &text[..text.len() - 1]] {
            assert_eq!(VerifierKey::parse(bad), None, "{bad}");
        }
    }
}
