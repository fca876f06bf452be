//! Draws probes by their plans: finds the generator of a set, and draws a clean twin once for the attacks over it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;

use crate::probe::{Files, Generate, ProbeError, RenderContext};
use crate::types::{ProbeId, ProbePlan, Rendered};

/// Clean twins kept: the plan groups the attacks over one picture, so a few per thread are enough.
const KEPT: usize = 32;

/// Draws any probe of a plan.
pub struct Renderer<'a> {
    plans: BTreeMap<&'a ProbeId, &'a ProbePlan>,
    generators: &'a BTreeMap<String, &'a dyn Generate>,
    files: &'a Files,
    kept: Mutex<VecDeque<(ProbeId, Arc<RgbImage>)>>,
}

impl<'a> Renderer<'a> {
    /// A renderer of these plans; `generators` names who draws each set.
    pub fn new(plans: &'a [ProbePlan], generators: &'a BTreeMap<String, &'a dyn Generate>, files: &'a Files) -> Self {
        let plans = plans.iter().map(|plan| (&plan.id, plan)).collect();
        Self { plans, generators, files, kept: Mutex::new(VecDeque::with_capacity(KEPT)) }
    }

    /// Draws one probe.
    ///
    /// # Errors
    /// When its picture cannot be made.
    pub fn render(&self, plan: &ProbePlan) -> Result<Rendered, ProbeError> {
        let generator = self
            .generators
            .get(&*plan.set)
            .ok_or_else(|| ProbeError::Picture(format!("no generator draws the set `{}`", plan.set)))?;
        generator.render(plan, &RenderContext { files: self.files, base: &|id| self.base(id) })
    }

    /// The plan of a probe.
    pub fn plan(&self, id: &ProbeId) -> Option<&'a ProbePlan> {
        self.plans.get(id).copied()
    }

    fn base(&self, id: &ProbeId) -> Result<Arc<RgbImage>, ProbeError> {
        {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, image)) = kept.iter().find(|(other, _)| other == id) {
                return Ok(Arc::clone(image));
            }
        }
        let plan = self.plan(id).ok_or_else(|| ProbeError::Picture(format!("its clean twin {id} is not planned")))?;
        if plan.source.is_some() {
            return Err(ProbeError::Picture(format!("its clean twin {id} is itself drawn over another probe")));
        }
        let unusable = |error: ProbeError| ProbeError::Picture(format!("its clean twin cannot be used: {error}"));
        let image = Arc::new(self.render(plan).map_err(unusable)?.image);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((id.clone(), Arc::clone(&image)));
        Ok(image)
    }
}
