//! Which tensors a whisper.cpp model of a given shape holds. Owns: their names, shapes and storage types.
//! Must not know: files.

use std::collections::HashMap;

use super::ModelHeader;

/// How numbers are stored: in blocks of `block` numbers, `block_bytes` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) code: u32,
    block: u64,
    block_bytes: u64,
}

impl Kind {
    /// Whether the stored numbers are finite, as far as this kind shows it without unpacking: f32 and f16 do.
    pub(super) fn is_finite(self, part: &[u8]) -> bool {
        let all_ones_exponent = |bits: u32, mask: u32| bits & mask == mask;
        match self.code {
            0 => !part
                .chunks_exact(4)
                .any(|b| all_ones_exponent(u32::from_le_bytes([b[0], b[1], b[2], b[3]]), 0x7f80_0000)),
            1 => !part.chunks_exact(2).any(|b| all_ones_exponent(u32::from(u16::from_le_bytes([b[0], b[1]])), 0x7c00)),
            _ => true,
        }
    }
}

const F32: Kind = Kind { code: 0, block: 1, block_bytes: 4 };
const F16: Kind = Kind { code: 1, block: 1, block_bytes: 2 };

/// What a tensor must look like. `dims` has the fastest dimension first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) dims: Vec<u32>,
    pub(super) kind: Kind,
}

impl Shape {
    pub(super) fn length_bytes(&self) -> u64 {
        let numbers: u64 = self.dims.iter().copied().map(u64::from).product();
        numbers / self.kind.block * self.kind.block_bytes
    }
}

/// The storage type of the matrices for an `ftype` without quantisation version; none if it is not served.
pub(super) const fn matrix_type(ftype: u32) -> Option<Kind> {
    Some(match ftype {
        1 => F16,
        2 => Kind { code: 2, block: 32, block_bytes: 18 },
        3 => Kind { code: 3, block: 32, block_bytes: 20 },
        7 => Kind { code: 8, block: 32, block_bytes: 34 },
        8 => Kind { code: 6, block: 32, block_bytes: 22 },
        9 => Kind { code: 7, block: 32, block_bytes: 24 },
        _ => return None,
    })
}

/// Every tensor of a model of this shape.
pub(super) fn expected_tensors(header: &ModelHeader) -> HashMap<String, Shape> {
    let mut list = List { tensors: HashMap::new(), matrix: matrix_type(header.ftype).unwrap_or(F16) };
    let width = header.n_state;
    list.add("encoder.positional_embedding", &[width, header.n_audio_ctx], F32);
    list.add("encoder.conv1.weight", &[3, header.n_mels, width], F16);
    list.add("encoder.conv1.bias", &[1, width], F32);
    list.add("encoder.conv2.weight", &[3, width, width], F16);
    list.add("encoder.conv2.bias", &[1, width], F32);
    list.norm("encoder.ln_post", width);
    for layer in 0..header.n_audio_layer {
        let block = format!("encoder.blocks.{layer}");
        list.attention(&block, "attn", width);
        list.mlp(&block, width);
    }
    list.add("decoder.positional_embedding", &[width, header.n_text_ctx], F32);
    list.matrix("decoder.token_embedding.weight", width, header.n_vocab);
    list.norm("decoder.ln", width);
    for layer in 0..header.n_text_layer {
        let block = format!("decoder.blocks.{layer}");
        list.attention(&block, "attn", width);
        list.attention(&block, "cross_attn", width);
        list.mlp(&block, width);
    }
    list.tensors
}

struct List {
    tensors: HashMap<String, Shape>,
    matrix: Kind,
}

impl List {
    fn add(&mut self, name: &str, dims: &[u32], kind: Kind) {
        self.tensors.insert(name.to_owned(), Shape { dims: dims.to_vec(), kind });
    }

    fn matrix(&mut self, name: &str, from: u32, to: u32) {
        self.add(name, &[from, to], self.matrix);
    }

    fn norm(&mut self, name: &str, width: u32) {
        self.add(&format!("{name}.weight"), &[width], F32);
        self.add(&format!("{name}.bias"), &[width], F32);
    }

    fn linear(&mut self, name: &str, from: u32, to: u32) {
        self.matrix(&format!("{name}.weight"), from, to);
        self.add(&format!("{name}.bias"), &[to], F32);
    }

    fn attention(&mut self, block: &str, name: &str, width: u32) {
        self.norm(&format!("{block}.{name}_ln"), width);
        for part in ["query", "value", "out"] {
            self.linear(&format!("{block}.{name}.{part}"), width, width);
        }
        // The key has no bias.
        self.matrix(&format!("{block}.{name}.key.weight"), width, width);
    }

    fn mlp(&mut self, block: &str, width: u32) {
        self.norm(&format!("{block}.mlp_ln"), width);
        self.linear(&format!("{block}.mlp.0"), width, 4 * width);
        self.linear(&format!("{block}.mlp.2"), 4 * width, width);
    }
}
