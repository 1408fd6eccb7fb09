õ2
test row 02test row 15872test row 31742test row 47612test row 63492test row 79362test row 95232test row 111112test row 126982test row 142852test row 158722test row 174602test row 190472test row 206342test row 222222test row 238092test row 253962test row 269832test row 285712test row 301582test row 317452test row 333332test row 349202test row 365072test row 380942test row 396822test row 412692test row 428562test row 444442test row 460312test row 476182test row 492052test row 507932test row 523802test row 539672test row 555552test row 571422test row 587292test row 603162test row 619042test row 634912test row 650782test row 666662test row 682532test row 698402test row 714272test row 730152test row 746022test row 761892test row 777772test row 793642test row 809512test row 825382test row 841262test row 857132test row 873002test row 888882test row 904752test row 920622test row 936492test row 952372test row 968242test row 984112test row 999992test row 63535, near a tie2test row 20977, near a tie2test row 52967, near a tie2test row 22103, near a tie2test row 7256, near a tie2test row 55116, near a tie2test row 68719, near a tie2test row 52690, near a tie2test row 79821, near a tie2test row 20029, near a tie2test row 68712, near a tie2test row 63629, near a tie2test row 10215, near a tie2test row 29394, near a tie2test row 93996, near a tie2test row 19699, near a tie2test row 20744, near a tie2test row 89730, near a tie2test row 65619, near a tie2test row 54085, near a tie2test row 46365, near a tie2test row 6889, near a tie2test row 62240, near a tie2test row 6472, near a tie2test row 31321, near a tie2test row 44226, near a tie2test row 7574, near a tie2test row 4841, near a tie2test row 13895, near a tie2test row 26690, near a tie2test row 70305, near a tie2test row 89671, near a tie2
x0 missing2x0 huge2x0 -huge2x0 infinite2x0 -inf2x0 smallest2
x0 largest2
x1 missing2x1 huge2x1 -huge2x1 infinite2x1 -inf2x1 smallest2
x1 largest2
x2 missing2x2 huge2x2 -huge2x2 infinite2x2 -inf2x2 smallest2
x2 largest2
x3 missing2x3 huge2x3 -huge2x3 infinite2x3 -inf2x3 smallest2
x3 largest2
x4 missing2x4 huge2x4 -huge2x4 infinite2x4 -inf2x4 smallest2
x4 largest2
x5 missing2x5 huge2x5 -huge2x5 infinite2x5 -inf2x5 smallest2
x5 largest2
x6 missing2x6 huge2x6 -huge2x6 infinite2x6 -inf2x6 smallest2
x6 largest2
x7 missing2x7 huge2x7 -huge2x7 infinite2x7 -inf2x7 smallest2
x7 largest2
x8 missing2x8 huge2x8 -huge2x8 infinite2x8 -inf2x8 smallest2
x8 largest2
x9 missing2x9 huge2x9 -huge2x9 infinite2x9 -inf2x9 smallest2
x9 largest2x10 missing2x10 huge2	x10 -huge2x10 infinite2x10 -inf2x10 smallest2x10 largest2x11 missing2x11 huge2	x11 -huge2x11 infinite2x11 -inf2x11 smallest2x11 largest2x12 missing2x12 huge2	x12 -huge2x12 infinite2x12 -inf2x12 smallest2x12 largest2x13 missing2x13 huge2	x13 -huge2x13 infinite2x13 -inf2x13 smallest2x13 largest2x14 missing2x14 huge2	x14 -huge2x14 infinite2x14 -inf2x14 smallest2x14 largest2x15 missing2x15 huge2	x15 -huge2x15 infinite2x15 -inf2x15 smallest2x15 largest2x16 missing2x16 huge2	x16 -huge2x16 infinite2x16 -inf2x16 smallest2x16 largest2x17 missing2x17 huge2	x17 -huge2x17 infinite2x17 -inf2x17 smallest2x17 largest2x18 missing2x18 huge2	x18 -huge2x18 infinite2x18 -inf2x18 smallest2x18 largest2x19 missing2x19 huge2	x19 -huge2x19 infinite2x19 -inf2x19 smallest2x19 largest2piece 1 of every number2piece 2 of every number2piece 3 of every number2piece 4 of every number2piece 5 of every number2piece 6 of every number2piece 7 of every number2piece 8 of every number2piece 9 of every numberBorigins