//! AdamW with decoupled weight decay (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019), with state
//! that can be saved: training goes on after a kill as if nothing had been. tch's own optimiser hides its state.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

const BETAS: (f64, f64) = (0.9, 0.98);
const EPSILON: f64 = 1e-6;
/// On matrices and kernels only, not on embeddings, gains and shifts.
const DECAY: f64 = 0.1;
/// Longest gradient; longer ones are scaled down to it.
const GRADIENT_LIMIT: f64 = 1.0;

/// Running means of gradients and of their squares, by name of the weight.
pub(crate) struct AdamW {
    pub(crate) mean: BTreeMap<String, Tensor>,
    pub(crate) square: BTreeMap<String, Tensor>,
    /// Steps taken.
    pub(crate) step: u64,
}

impl AdamW {
    /// For the weights that require a gradient.
    pub(crate) fn new(weights: &BTreeMap<String, Tensor>) -> Self {
        let zeros = || weights.iter().filter(|(_, weight)| weight.requires_grad());
        let zeros = || zeros().map(|(name, weight)| (name.clone(), weight.detach().zeros_like())).collect();
        Self { mean: zeros(), square: zeros(), step: 0 }
    }

    /// Moves the state to a device.
    pub(crate) fn place(&mut self, device: Device) {
        for tensor in self.mean.values_mut().chain(self.square.values_mut()) {
            *tensor = tensor.to_device(device);
        }
    }

    /// One step along the gradients, which are cleared. Gives the gradient's length before clipping.
    pub(crate) fn update(&mut self, weights: &mut BTreeMap<String, Tensor>, rate: f64) -> f64 {
        self.step += 1;
        let trained: Vec<&String> = self.mean.keys().collect();
        let norms: Vec<Tensor> = trained.iter().map(|name| weights[*name].grad().norm()).collect();
        let length = Tensor::stack(&norms, 0).norm().double_value(&[]);
        let shrink = (GRADIENT_LIMIT / (length + 1e-6)).min(1.0);
        let steps = self.step as f64;
        let corrections = (1.0 - BETAS.0.powf(steps), 1.0 - BETAS.1.powf(steps));
        tch::no_grad(|| {
            for (name, mean) in &mut self.mean {
                let (Some(weight), Some(square)) = (weights.get_mut(name), self.square.get_mut(name)) else { continue };
                let mut gradient = weight.grad();
                let _ = gradient.g_mul_scalar_(shrink);
                let _ = mean.lerp_(&gradient, 1.0 - BETAS.0);
                let _ = square.g_mul_scalar_(BETAS.1);
                let _ = square.addcmul_(&(&gradient * (1.0 - BETAS.1)), &gradient);
                if weight.dim() >= 2 && !name.contains("embedding") {
                    let _ = weight.g_mul_scalar_(1.0 - rate * DECAY);
                }
                let divisor = (&*square / corrections.1).sqrt() + EPSILON;
                let _ = weight.addcdiv_(&(&*mean * (-rate / corrections.0)), &divisor);
                let _ = gradient.zero_();
            }
        });
        length
    }
}

/// Rate at a step: a linear rise over `rise` steps, then a cosine down to a fiftieth of the peak.
pub(crate) fn rate(peak: f64, step: u64, rise: u64, steps: u64) -> f64 {
    let share = (step as f64 / steps as f64).min(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
    peak * ((step + 1) as f64 / rise as f64).min(1.0) * (cosine * 0.98 + 0.02)
}

/// Loss of a batch: cross entropy between the softmax of scaled cosines and uniform targets over what is true of each
/// image, and of each text (Radford et al. 2021 with several right answers). `truth`: f32 [N, N], 1 where text j is true
/// of image i.
pub(crate) fn contrastive(images: &Tensor, texts: &Tensor, scale: &Tensor, truth: &Tensor) -> (Tensor, Tensor) {
    let logits = images.matmul(&texts.transpose(0, 1)) * scale;
    let row = -(spread(truth, 1) * logits.log_softmax(1, Kind::Float)).sum_dim_intlist(
        [1_i64].as_slice(),
        false,
        Kind::Float,
    );
    let column = -(spread(truth, 0) * logits.log_softmax(0, Kind::Float)).sum(Kind::Float) / truth.size()[0];
    let loss = (row.mean(Kind::Float) + column) * 0.5;
    (loss, row.detach())
}

fn spread(truth: &Tensor, dimension: i64) -> Tensor {
    truth / truth.sum_dim_intlist([dimension].as_slice(), true, Kind::Float)
}

/// Loss that pulls together what the last stage makes of a picture and of the written name of the same thing: supervised
/// contrast (Khosla et al. 2020) between centred units. `pairs`: f32 [N, N], 1 where i and j show one thing, one as picture
/// and one as word; `others`: f32 [N, N], 1 where they show different things. Rows without a pair count nothing.
pub(crate) fn joining(units: &Tensor, pairs: &Tensor, others: &Tensor) -> Tensor {
    const TEMPERATURE: f64 = 0.1;
    let centred = units - units.mean_dim([0_i64].as_slice(), true, Kind::Float);
    let length = centred.norm_scalaropt_dim(2.0, [1_i64].as_slice(), true).clamp_min(1e-6);
    let centred = centred / length;
    let logits = centred.matmul(&centred.transpose(0, 1)) / TEMPERATURE;
    let left_out = (pairs + others).eq(0.0);
    let logits = logits.masked_fill(&left_out, -1e4);
    let count = pairs.sum_dim_intlist([1_i64].as_slice(), false, Kind::Float);
    let terms = (pairs * logits.log_softmax(1, Kind::Float)).sum_dim_intlist([1_i64].as_slice(), false, Kind::Float);
    let rows = count.gt(0.0).to_kind(Kind::Float).sum(Kind::Float).clamp_min(1.0);
    -(terms / count.clamp_min(1.0)).sum(Kind::Float) / rows
}
