//! What users and administrators wrote about registries, as podman, buildah and skopeo read it.
