"""Teachers: a frozen network on every batch, or its cached targets for whole photos. Both give a `TeacherTarget`."""
