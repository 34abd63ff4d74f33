//! Images, roots, layers and flags that mean harm, against the programs themselves: the classes of CVEs that a start, `load` and
//! `import` can fall for.
//!
//! Beside the store lies a canary ([`canary`]): files of the user's own, which a container's root could read and write if it
//! reached them. After each command they are as they were, nothing of them was printed, and what was refused says so in one
//! line. That the guards against each class are needed is shown by `scripts/guards`.

mod canary;
mod identity;
mod layers;
mod process;
mod racing;
mod roots;
mod specs;
