"""四库: institutions, teachers, classes and their schedule, students and guardians."""
