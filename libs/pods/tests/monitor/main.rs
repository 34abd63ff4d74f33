//! The real monitor over a real child, which stands for a container.
#![forbid(unsafe_code)]

#[cfg(test)]
mod clients;
#[cfg(test)]
mod end;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod input;
#[cfg(test)]
mod output;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod rest;
