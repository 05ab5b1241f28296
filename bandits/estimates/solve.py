"""Small systems of linear equations, in an order of operations that is the same everywhere."""

from collections.abc import Sequence

Matrix = Sequence[Sequence[float]]


def solve(matrix: Matrix, right: Matrix) -> list[list[float]]:
    """Return x with matrix x = right, for a symmetric positive definite matrix.

    `right` and the result have a row for each row of `matrix`, and one column for each right-hand side. Such a matrix
    needs no pivots (Golub and Van Loan, "Matrix Computations", 4.2).
    """
    size = len(matrix)
    rows = [[*left, *columns] for left, columns in zip(matrix, right, strict=True)]
    for step, pivot in enumerate(rows):
        scale = 1.0 / pivot[step]
        for row in rows[step + 1 :]:
            factor = row[step] * scale
            if factor:
                row[step:] = [value - factor * above for value, above in zip(row[step:], pivot[step:], strict=True)]
    for step in range(size - 1, -1, -1):
        row = rows[step]
        known = rows[step + 1 :]
        for column in range(size, len(row)):
            value = row[column]
            for offset, other in enumerate(known, step + 1):
                value -= row[offset] * other[column]
            row[column] = value / row[step]
    return [row[size:] for row in rows]


def identity(size: int) -> list[list[float]]:
    """Return the identity matrix."""
    return [[1.0 if row == column else 0.0 for column in range(size)] for row in range(size)]
