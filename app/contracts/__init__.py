"""One prepaid purchase of lessons: seats, lessons and their allocated prices."""
