//! The id of the process we are in.
//!
//! Clients, tasks and the I/O thread know the id of the process that made them: in a forked child their sockets
//! and locks are the parent's, so the child forgets them.

/// The id of the process we are in, asked anew each time: a cached one would be the parent's after a fork.
pub(super) fn process() -> u32 {
    #[cfg(test)]
    if let Some(id) = pretended::get() {
        return id;
    }
    std::process::id()
}

/// Something that only the process that made it may use or drop. A forked child inherits the memory of it, but the
/// sockets, locks and threads in it are the parent's: there it is out of reach, and forgotten where it would be
/// dropped.
#[derive(Debug)]
pub(crate) struct Own<T> {
    process: u32,
    value: Option<T>,
}

impl<T> Own<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { process: process(), value: Some(value) }
    }

    /// The value, in the process that made it.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.process == process())
    }

    /// As [`Own::get`].
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.value.as_mut().filter(|_| self.process == process())
    }

    /// Takes the value out, in the process that made it.
    pub(super) fn into_inner(mut self) -> Option<T> {
        if self.process == process() { self.value.take() } else { None }
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        if self.process != process() {
            std::mem::forget(self.value.take());
        }
    }
}

/// A fork cannot be made in safe Rust, so tests pretend to be in another process, each on its own thread.
#[cfg(test)]
pub(super) mod pretended {
    use std::cell::Cell;

    thread_local!(static ID: Cell<Option<u32>> = const { Cell::new(None) });

    pub(super) fn get() -> Option<u32> {
        ID.get()
    }

    /// Runs a function as if in a forked child.
    pub(in crate::net) fn in_child<T>(run: impl FnOnce() -> T) -> T {
        struct Back(Option<u32>);
        impl Drop for Back {
            fn drop(&mut self) {
                ID.set(self.0);
            }
        }
        let _back = Back(ID.replace(Some(u32::MAX)));
        run()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::pretended::in_child;
    use super::*;
    use std::rc::Rc;

    #[test]
    fn a_value_is_its_own_processs_to_use_and_to_drop() {
        let value = Rc::new(1);
        let mut own = Own::new(Rc::clone(&value));
        assert!(own.get().is_some() && own.get_mut().is_some());
        drop(own);
        assert_eq!(Rc::strong_count(&value), 1);
        assert!(Own::new(Rc::clone(&value)).into_inner().is_some());
        assert_eq!(Rc::strong_count(&value), 1);
    }

    #[test]
    fn in_a_forked_child_a_value_is_out_of_reach_and_forgotten() {
        let value = Rc::new(1);
        let (mut own, other) = (Own::new(Rc::clone(&value)), Own::new(Rc::clone(&value)));
        in_child(|| {
            assert!(own.get().is_none() && own.get_mut().is_none() && other.into_inner().is_none());
            drop(own);
        });
        assert_eq!(Rc::strong_count(&value), 3);
    }
}
