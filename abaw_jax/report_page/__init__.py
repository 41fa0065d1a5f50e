"""The page of `report`: its inputs, figures, pictures, HTML, style and script."""
