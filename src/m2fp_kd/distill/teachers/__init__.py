"""Teachers: a frozen network on every batch, or its cached targets of whole photos. Both give a `TeacherTarget`."""
