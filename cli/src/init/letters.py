def count(text):
    letters = sum(letter.isalpha() for letter in text)
    print(f"{text!r} has {letters} letters")
    return letters
